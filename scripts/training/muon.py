"""Muon (momentum, made orthogonal before the step) for convolutions, in coordinates in which their inputs are centred and white.

A ReLU network's activations are positive and correlated: their mean alone dominates the input's second moments, and plain
descent crawls along the other directions. Here the weight's gradient is taken with the mean of the input subtracted (the
bias follows, so that the function is the one of a layer on centred inputs), and multiplied by A^-1/2 on the channel side
before and after it is made orthogonal; A is the running channel covariance of the input, damped.
"""
import torch


class Muon:
    def __init__(self, net, names, momentum=0.95, damping=0.1, every=20):
        self.net, self.names, self.momentum, self.damping, self.every = net, names, momentum, damping, every
        self.m = {k: torch.zeros_like(net.convs[k].weight) for k in names}
        self.mean, self.cov, self.root, self.t = {}, {}, {}, 0

    def before_forward(self):
        """Call before each training forward pass: every so often it lets the network's inputs be looked at."""
        self.net.watch = self.look if self.t % self.every == 0 or not self.root else None
        self.t += 1

    @torch.no_grad()
    def look(self, name, x):
        if name in self.m:
            with torch.autocast(x.device.type, enabled=False):
                self.measure(name, x)

    def measure(self, name, x):
        x = x.permute(0, 2, 3, 1).flatten(0, 2)[:: max(1, x.shape[2] // 12)].float()
        mean = x.mean(0)
        cov = (x - mean).T @ (x - mean) / len(x)
        if name in self.mean:
            mean, cov = self.mean[name].lerp(mean, 0.1), self.cov[name].lerp(cov, 0.1)
        self.mean[name], self.cov[name] = mean, cov
        # In double precision: channels that are dead in a batch give repeated eigenvalues, on which the single one may not converge.
        # On the CPU: a GPU takes longer for one matrix of this size.
        e, v = torch.linalg.eigh((cov / cov.diagonal().mean()).double().cpu())
        self.root[name] = ((v * (e.clamp_min(0) + self.damping).rsqrt()) @ v.T).float().to(x.device)

    @torch.no_grad()
    def step(self, lr):
        self.net.watch = None
        alike = {}  # by shape: matrices of one shape are made orthogonal in one go
        for k in self.names:
            conv = self.net.convs[k]
            g = conv.weight.grad - conv.bias.grad.view(-1, 1, 1, 1) * self.mean[k].view(1, -1, 1, 1)
            self.m[k].lerp_(g, 1 - self.momentum)
            g = torch.einsum("oikl,ij->ojkl", g.lerp(self.m[k], self.momentum), self.root[k])
            alike.setdefault(g.shape, []).append((k, g))
        for shape, gradients in alike.items():
            directions = orthogonal(torch.stack([g.flatten(1) for _, g in gradients]))
            for (k, _), d in zip(gradients, directions):
                d = torch.einsum("oikl,ij->ojkl", d.view(shape), self.root[k]) * -lr
                self.net.convs[k].weight.add_(d)
                self.net.convs[k].bias.sub_(d.sum((2, 3)) @ self.mean[k])

    def state_dict(self):
        return {"m": self.m, "mean": self.mean, "cov": self.cov, "root": self.root}

    def load_state_dict(self, z):
        self.m, self.mean, self.cov, self.root = z["m"], z["mean"], z["cov"], z["root"]


def orthogonal(x):
    """The nearest matrices with orthonormal rows (or columns), nearly: x is (n, rows, columns)."""
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    for _ in range(5):
        g = x @ x.mT
        x = 3.4445 * x + (-4.7750 * g + 2.0315 * g @ g) @ x
    return x if wide else x.mT

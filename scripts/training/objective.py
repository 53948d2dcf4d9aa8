"""The normalized objective of models/FORMAT.md, the optimizer around it, and the judge. All Grams are fp32."""
import torch

from .device import FP32


def rows(f):
    """(B, C, H, W) -> (B, H W, C); a view where the memory is channels last."""
    return f.permute(0, 2, 3, 1).flatten(1, 2)


class Moments(torch.autograd.Function):
    """S^T S and S^T T over positions, divided by their number; fp32 out. T is a constant.

    Written out because the backward pass is one product per term, in the features' own precision.
    """

    @staticmethod
    def forward(ctx, s, t):
        s = rows(s)
        ctx.save_for_backward(s, t)
        f = s.float()
        g = f.transpose(1, 2) @ f / s.shape[1]
        return g, (s.transpose(1, 2) @ rows(t).to(s.dtype)).float() / s.shape[1]

    @staticmethod
    def backward(ctx, dg, dx):
        (s, t), shape = ctx.saved_tensors, ctx.saved_tensors[0].shape
        d = s @ ((dg + dg.transpose(1, 2)) / shape[1]).to(s.dtype)
        d = torch.baddbmm(d, rows(t).to(s.dtype), (dx.transpose(1, 2) / shape[1]).to(s.dtype))
        return d.view(shape[0], *t.shape[2:], shape[2]).permute(0, 3, 1, 2), None


def gram(f):
    """(B, C, H, W) -> (B, C, C), divided by H W."""
    return Gram.apply(f)


class Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f):
        s = rows(f)
        ctx.save_for_backward(s)
        ctx.hw = f.shape[2:]
        s = s.float()
        return s.transpose(1, 2) @ s / s.shape[1]

    @staticmethod
    def backward(ctx, dg):
        (s,) = ctx.saved_tensors
        d = s @ ((dg + dg.transpose(1, 2)) / s.shape[1]).to(s.dtype)
        return d.view(s.shape[0], *ctx.hw, s.shape[2]).permute(0, 3, 1, 2)


def style_grams(net, image, compute=FP32):
    """Gram matrices of images (B, 3, H, W) at the taps, through the heads, as a dict."""
    with torch.no_grad(), compute.autocast():
        f = net(image, list(net.taps))
    with torch.no_grad():
        return {k: through(net, k, gram(v)) for k, v in f.items()}


def through(net, tap, g):
    if tap not in net.heads:
        return g
    h = net.heads[tap]
    return h @ g @ h.T


class Target:
    """What a batch of images is compared with: style Grams (dict of (B, r, r)) and content features."""

    def __init__(self, net, style, content, compute=FP32):
        self.net, self.style, self.compute = net, style, compute
        self.energy = {k: a.pow(2).sum((1, 2)) for k, a in style.items()}
        with torch.no_grad(), compute.autocast():
            self.content = net(content, [net.content])[net.content].float()
        self.content_energy = self.content.pow(2).sum((1, 2, 3))

    def terms(self, x):
        """J_content and J_style of each image of the batch, (B,) each."""
        with self.compute.autocast():
            f = self.net(x)
        p = f[self.net.content].float()
        jc = (p - self.content).pow(2).sum((1, 2, 3)) / self.content_energy
        js = 0
        for k, lam in self.net.taps.items():
            d = through(self.net, k, gram(f[k])) - self.style[k]
            js = js + lam * d.pow(2).sum((1, 2)) / self.energy[k]
        return jc, js

    def grad(self, x, alpha, beta):
        x = x.detach().requires_grad_()
        jc, js = self.terms(x)
        (g,) = torch.autograd.grad((alpha * jc + beta * js).sum(), x)
        return g, jc.detach(), js.detach()


class Adam:
    """Adam on pixels, the image clamped to 0..1 after each step. The only optimizer used, for every network."""

    def __init__(self, x, lr=0.03, b1=0.9, b2=0.999, eps=1e-10):
        self.m, self.v, self.t = torch.zeros_like(x), torch.zeros_like(x), 0
        self.lr, self.b1, self.b2, self.eps = lr, b1, b2, eps

    def step(self, x, g, lr=None):
        self.t += 1
        self.m.mul_(self.b1).add_(g, alpha=1 - self.b1)
        self.v.mul_(self.b2).addcmul_(g, g, value=1 - self.b2)
        u = (self.m / (1 - self.b1 ** self.t)) / ((self.v / (1 - self.b2 ** self.t)).sqrt() + self.eps)
        return (x - (lr or self.lr) * u).clamp_(0, 1)


def paint(target, x, alpha, beta, steps, lr=None, keep=(), schedule=None):
    """Optimize a batch from x. Returns {step: images} for the steps in `keep` (default: the last)."""
    keep, opt, out = set(keep or [steps]), Adam(x, **({"lr": lr} if lr else {})), {}
    for i in range(1, steps + 1):
        g, _, _ = target.grad(x, alpha, beta)
        x = opt.step(x, g, schedule(i, opt.lr) if schedule else None)
        if i in keep:
            out[i] = x.clone()
    return out


class Judge:
    """The judge of the project's score: VGG-19, Gram distance relative to the content frame's own, mean over taps."""

    def __init__(self, vgg, style, content, compute=FP32):
        self.vgg, self.style, self.compute = vgg, style, compute
        with torch.no_grad(), compute.autocast():
            f = vgg(content)
        self.content = f[vgg.content].float()
        self.own = {k: (gram(f[k]) - style[k]).pow(2).sum((1, 2)) for k in vgg.taps}

    def __call__(self, x):
        """(style by layer (B, 5), content (B,))"""
        with torch.no_grad(), self.compute.autocast():
            f = self.vgg(x)
        s = torch.stack([(gram(f[k]) - self.style[k]).pow(2).sum((1, 2)) / self.own[k] for k in self.vgg.taps], 1)
        c = (f[self.vgg.content].float() - self.content).pow(2).mean((1, 2, 3)) / self.content.pow(2).mean((1, 2, 3))
        return s, c

"""On-policy images: what an optimizer visits while it paints with the students."""
import torch

from .objective import Adam, Target, style_grams


class Runs:
    """`count` slots, each a (content, style) pair that every student paints `copies` times, one step at a time."""

    def __init__(self, images, students, count, copies, rng, compute):
        self.images, self.count, self.copies, self.rng, self.compute = images, count, copies, rng, compute
        self.names = [s.name for s in students]
        side, n = images.side, count * copies  # row of copy j of slot i: j * count + i
        self.c, self.s = (torch.zeros(count, 3, side, side, device=compute.device) for _ in range(2))
        self.x = {k: torch.zeros(n, 3, side, side, device=compute.device) for k in self.names}
        self.opt = {k: Adam(self.x[k]) for k in self.names}
        self.age, self.end, self.pair = [0] * count, [0] * count, [0] * count
        self.lr, self.beta = torch.zeros(n, 1, 1, 1, device=compute.device), torch.zeros(n, device=compute.device)
        for i in range(count):
            self.reset(i)
            self.age[i] = int(rng.integers(0, self.end[i]))

    def reset(self, i):
        r = self.rng
        self.c[i], self.s[i] = self.images.photo()[0], self.images.style()[0]
        for j in range(self.copies):
            start, kind, at = self.c[i], r.random(), j * self.count + i
            if j and kind < 0.15:
                start = torch.from_numpy(r.random(start.shape, dtype="float32"))
            elif j and kind < 0.5:
                start = (self.images.style() if kind < 0.3 else self.images.photo())[0]
            for n in self.names:
                self.x[n][at] = start
                self.opt[n].m[at], self.opt[n].v[at] = 0, 0
            self.lr[at] = float(r.uniform(0.015, 0.05))
            self.beta[at] = float(10 ** r.uniform(0.3, 2.0))
        self.age[i], self.end[i] = 0, int(r.integers(15, 80))
        self.pair[i] += 1

    def step(self, students, count=1):
        """A few steps of every slot with every student's present weights."""
        ready = []
        for st in students:
            net = st.runnable()
            style = {k: g.repeat(self.copies, 1, 1) for k, g in style_grams(net, self.s, self.compute).items()}
            ready.append((st.name, Target(net, style, self.c.repeat(self.copies, 1, 1, 1), self.compute)))
        for _ in range(count):
            for name, target in ready:
                self.descend(name, target)
            self.age = [a + 1 for a in self.age]
        for i in range(self.count):
            if self.age[i] > self.end[i]:
                self.reset(i)

    def descend(self, name, target):
        """One step of Adam; every row has its own rate, weight of style and age."""
        opt = self.opt[name]
        g, _, _ = target.grad(self.x[name], 1.0, self.beta)
        opt.m.mul_(0.9).add_(g, alpha=0.1)
        opt.v.mul_(0.999).addcmul_(g, g, value=0.001)
        t = torch.tensor([a + 1.0 for a in self.age], device=g.device).repeat(self.copies).view(-1, 1, 1, 1)
        u = (opt.m / (1 - 0.9 ** t)) / ((opt.v / (1 - 0.999 ** t)).sqrt() + 1e-10)
        self.x[name] = (self.x[name] - self.lr * u).clamp_(0, 1)

    def painted(self, i):
        """The paintings of slot i, one per student and copy: (n, 3, H, W)."""
        return torch.stack([self.x[n][j * self.count + i] for n in self.names for j in range(self.copies)])

"""The memory of what optimizers visited, with what the teacher said of it: an image passes the teacher once and is used often."""
from dataclasses import dataclass

import torch


@dataclass
class Seen:
    """Images and what was computed of them, in half precision. `stems`: input of each student's trained stages, by name;
    `features`: the teacher's, by tap number."""

    images: torch.Tensor  # (n, 3, H, W), uint8
    stems: dict
    features: dict


class Examples:
    """At most `size` groups of images: style, content, and paintings in progress of that pair."""

    def __init__(self, teacher, students, size, rng, first):
        """`first`: number of the first tap whose teacher features are kept."""
        self.teacher, self.students, self.size, self.rng, self.first = teacher, students, size, rng, first
        self.groups, self.pairs = [], {}

    def look(self, x):
        """Computes what is remembered of images (n, 3, H, W) in 0..1."""
        images = (x * 255).round().to(torch.uint8)
        x = images.float() / 255
        stems = {s.name: s.stem(x).half() for s in self.students}
        return Seen(images, stems, {i: f.half() for i, f in self.teacher(x, self.first).items()})

    def add(self, runs, i):
        """A new group of slot i. Groups of one pair share what is known of its style and content."""
        pair = runs.pair[i]
        if i not in self.pairs or self.pairs[i][0] != pair:
            self.pairs[i] = pair, self.look(torch.stack([runs.s[i], runs.c[i]]))
        group = self.pairs[i][1], self.look(runs.painted(i))
        if len(self.groups) < self.size:
            self.groups.append(group)
        else:
            self.groups[int(self.rng.integers(self.size))] = group

    def draw(self, count):
        """A batch of groups at random: ({student: stem}, {tap: teacher features}, images a group)."""
        parts = [v for k in self.rng.integers(len(self.groups), size=count) for v in self.groups[k]]
        each = sum(len(v.images) for v in parts[:2])

        def join(values):
            return torch.cat(values).float().contiguous(memory_format=torch.channels_last)
        stems = {k: join([v.stems[k] for v in parts]) for k in parts[0].stems}
        return stems, {k: join([v.features[k] for v in parts]) for k in parts[0].features}, each

    def for_heads(self, count):
        """[(images, teacher features)] of the latest groups."""
        return [(v.images.float() / 255, v.features) for g in self.groups[-count:] for v in g]

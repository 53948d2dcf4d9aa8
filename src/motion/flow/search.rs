//! Two passes over the grid of patches, down and up again, as OpenCV's implementation makes them: a patch also tries the
//! results of its neighbours already visited, so that a good match spreads over the picture.
//!
//! Rows of patches follow each other on different threads (a wavefront): what a patch tries is there before it looks, so the result is
//! that of one row after the other.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    thread::yield_now,
};

use super::{
    FlowField, Job,
    patch::{Patch, SIDE, Template, template},
    pyramid::Level,
};
use crate::{
    dispatch::{eight::Eight, wide},
    frame::Size,
    threads::{Parallel, each},
};

/// Columns after which a row tells how far it is: the thread of the next one need not look more often.
const NEWS: usize = 8;
/// Looks for news before another thread is let on this core.
const LOOKS: usize = 1000;

/// Patches at regular distances, the last of each row and column flush with the border.
pub struct Grid {
    /// Left and upper edges of the patches.
    pub xs: Vec<usize>,
    pub ys: Vec<usize>,
    /// Displacement of each patch, row by row.
    places: Vec<Place>,
    patches: Vec<Patch>,
    /// How many patches of each row have been visited in this pass.
    visited: Vec<AtomicUsize>,
}

/// A displacement, to be read by the threads of other rows: whether it is there is told by [`Grid::visited`].
#[derive(Default)]
struct Place {
    u: AtomicU32,
    v: AtomicU32,
}

impl Place {
    #[inline(always)]
    fn get(&self) -> (f32, f32) {
        let get = |value: &AtomicU32| f32::from_bits(value.load(Ordering::Relaxed));
        (get(&self.u), get(&self.v))
    }

    #[inline(always)]
    fn set(&self, (u, v): (f32, f32)) {
        self.u.store(u.to_bits(), Ordering::Relaxed);
        self.v.store(v.to_bits(), Ordering::Relaxed);
    }
}

impl Grid {
    pub fn new(size: Size, stride: usize) -> Self {
        let edges = |side: usize| -> Vec<usize> {
            let last = side.saturating_sub(SIDE);
            (0..last).step_by(stride).chain([last]).collect()
        };
        let (xs, ys) = (edges(size.width), edges(size.height));
        let count = xs.len() * ys.len();
        let patch = || Patch { start: (0.0, 0.0), template: Template::default(), residual: None };
        Grid {
            places: std::iter::repeat_with(Place::default).take(count).collect(),
            patches: std::iter::repeat_with(patch).take(count).collect(),
            visited: ys.iter().map(|_| AtomicUsize::new(0)).collect(),
            xs,
            ys,
        }
    }

    /// Where the patch of a row and column went.
    #[inline(always)]
    pub fn place(&self, row: usize, column: usize) -> (f32, f32) {
        self.places[row * self.xs.len() + column].get()
    }
}

/// A row of patches in one pass.
struct Row<'a> {
    images: [&'a Level; 2],
    /// The field to start from; None on the way up.
    prior: Option<&'a FlowField>,
    steps: usize,
    xs: &'a [usize],
    y: usize,
    places: &'a [Place],
    patches: &'a mut [Patch],
    visited: &'a AtomicUsize,
    /// The row visited before this one.
    before: Option<(&'a [Place], &'a AtomicUsize)>,
}

/// Searches every patch of the first image in the second, starting from the dense flow.
pub fn search(threads: &dyn Parallel, jobs: &mut [Job], steps: usize) {
    for down in [true, false] {
        let mut rows: Vec<_> = jobs.iter_mut().flat_map(|job| rows(job, down, steps)).collect();
        // The fields' rows in turn: one that waits does so for a row begun earlier.
        rows.sort_by_key(|(turn, _)| *turn);
        each(threads, rows, |(_, mut row)| visit(&mut row));
    }
}

/// The rows of one field, and when it is whose turn.
fn rows<'a>(job: &'a mut Job, down: bool, steps: usize) -> impl Iterator<Item = (usize, Row<'a>)> {
    let (images, prior) = ([job.a, job.b], down.then_some(&job.step.flow));
    let Grid { xs, ys, places, patches, visited } = &mut job.step.grid;
    visited.iter_mut().for_each(|visited| *visited.get_mut() = 0);
    let (xs, ys, places, visited) = (&xs[..], &ys[..], &places[..], &visited[..]);
    let (columns, last) = (xs.len(), ys.len() - 1);
    patches.chunks_exact_mut(columns).enumerate().map(move |(row, patches)| {
        let places_of = |row: usize| &places[row * columns..(row + 1) * columns];
        let before = if down { row.checked_sub(1) } else { (row < last).then_some(row + 1) };
        let before = before.map(|before| (places_of(before), &visited[before]));
        let turn = if down { row } else { last - row };
        (
            turn,
            Row {
                images,
                prior,
                steps,
                xs,
                y: ys[row],
                places: places_of(row),
                patches,
                visited: &visited[row],
                before,
            },
        )
    })
}

/// Tells that a row is through, and does so when it ends in a panic, too: nobody may wait for it then.
struct Through<'a>(&'a AtomicUsize);

impl Drop for Through<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Release);
    }
}

wide! {
    fn visit(simd: Eight, row: &mut Row) {
        let Row { images, prior, steps, xs, y, places, before, .. } = *row;
        let through = Through(row.visited);
        let columns = xs.len();
        // Down from the left, up from the right.
        let column = |turn: usize| if prior.is_some() { turn } else { columns - 1 - turn };
        let mut known = 0;
        for turn in 0..columns {
            let at = column(turn);
            let patch = &mut row.patches[at];
            if let Some(prior) = prior {
                begin(simd, patch, prior, images[0], (xs[at], y));
                places[at].set(patch.start);
            }
            let mut near = [(turn > 0).then(|| places[column(turn - 1)].get()), None, None];
            if let Some((before, visited)) = before {
                let needed = (turn + 2).min(columns);
                if known < needed {
                    known = wait(visited, needed);
                }
                near[1] = Some(before[at].get());
                near[2] = (turn + 1 < columns).then(|| before[column(turn + 1)].get());
            }
            let place = patch.visit(simd, images, (xs[at], y), places[at].get(), near, steps);
            places[at].set(place);
            if turn % NEWS == NEWS - 1 {
                through.0.store(turn + 1, Ordering::Release);
            }
        }
    }
}

/// A patch where the field has its centre.
#[inline(always)]
fn begin<S: Eight>(simd: S, patch: &mut Patch, prior: &FlowField, image: &Level, (x, y): (usize, usize)) {
    let (Size { width, height }, half) = (prior.size, SIDE / 2);
    let center = (y + half).min(height - 1) * width + (x + half).min(width - 1);
    let start = (prior.u[center], prior.v[center]);
    *patch = Patch { start, template: template(simd, image, x, y), residual: None };
}

/// Waits until so many patches of a row have been visited; returns how many have.
fn wait(visited: &AtomicUsize, needed: usize) -> usize {
    loop {
        for _ in 0..LOOKS {
            let found = visited.load(Ordering::Acquire);
            if found >= needed {
                return found;
            }
            spin_loop();
        }
        yield_now();
    }
}

//! Sweeps of successive over-relaxation, red and black in turn, all in one pass over the rows: each half sweep follows
//! one row behind the one before it, which has then done all that it reads. The result is that of one sweep after the
//! other; the rows stay in the cache.
//!
//! Bands go on at the same time: first each goes as far as it comes without its neighbours, in every half sweep a row less at either
//! end; then the seams between them are filled, which grow by as much.

use super::{BEFORE, Half, OMEGA, swept};
use crate::{
    aligned::Aligned,
    dispatch::wide,
    motion::flow::Job,
    threads::{Parallel, bands, each},
};

/// Rows of a band for so many sweeps: as many as its two seams grow to read.
pub fn least_rows(sweeps: usize) -> usize {
    2 * (2 * sweeps + 1)
}

/// Solves for the flow, in bands of rows between the cuts.
pub fn relax(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize], sweeps: usize) {
    let (last, height) = (cuts.len() - 2, cuts[cuts.len() - 1]);
    // In rows of the arrays, which have a border above and below.
    let mut inner: Vec<_> = cuts.iter().map(|cut| cut + 1).collect();
    (inner[0], inner[last + 1]) = (0, height + 2);
    let inside = |band: usize| Rows {
        begin: if band == 0 { (0, 0) } else { (cuts[band] as isize + 1, 1) },
        end: if band == last { (height as isize, 0) } else { (cuts[band + 1] as isize - 1, -1) },
    };
    each(threads, jobs.iter_mut().flat_map(|job| pieces(job, &inner, inside)), |mut band| run(&mut band, sweeps));
    let middles: Vec<_> = cuts.windows(2).map(|band| (band[0] + band[1]) / 2 + 1).collect();
    let seam = |band: usize| {
        let cut = cuts[band + 1] as isize;
        Rows { begin: (cut - 1, -1), end: (cut + 1, 1) }
    };
    each(threads, jobs.iter_mut().flat_map(|job| pieces(job, &middles, seam)), |mut band| run(&mut band, sweeps));
}

/// Which rows of a band a half sweep goes over: where it begins and ends in the first one, and by how much that moves with each further one.
#[derive(Clone, Copy)]
struct Rows {
    begin: (isize, isize),
    end: (isize, isize),
}

impl Rows {
    fn of(&self, half_sweep: isize) -> std::ops::Range<isize> {
        let at = |(first, moves): (isize, isize)| first + half_sweep * moves;
        at(self.begin)..at(self.end)
    }
}

/// Rows of the flow of both colours.
struct Band<'a> {
    systems: [System<'a>; 2],
    stride: usize,
    /// The row of the arrays at which `flows` begin: u and v of each colour.
    top: usize,
    flows: [[&'a mut [f32]; 2]; 2],
    rows: Rows,
}

/// The linear system of a colour.
struct System<'a> {
    right: &'a [f32],
    below: &'a [f32],
    cross: &'a [f32],
    side: &'a [Aligned; 2],
    inverse: &'a [Aligned; 2],
}

impl Half {
    /// The system, and what it is solved for.
    fn unknown(&mut self) -> (System<'_>, [&mut [f32]; 2]) {
        let Half { u, v, right, below, cross, side, inverse, .. } = self;
        (System { right, below, cross, side, inverse }, [u, v])
    }
}

fn pieces<'a>(job: &'a mut Job, cuts: &'a [usize], rows: impl Fn(usize) -> Rows) -> impl Iterator<Item = Band<'a>> {
    let stride = job.step.refine.stride;
    let [red, black] = job.step.refine.colors.each_mut().map(Half::unknown);
    let flows = bands(red.1, stride, cuts).zip(bands(black.1, stride, cuts));
    let systems = move || [&red.0, &black.0].map(|s| System { ..*s });
    cuts.iter().zip(flows).enumerate().map(move |(band, (&top, (red, black)))| Band {
        systems: systems(),
        stride,
        top,
        flows: [red, black],
        rows: rows(band),
    })
}

wide! {
    fn run(band: &mut Band, sweeps: usize) {
        let half_sweeps = 2 * sweeps as isize;
        let (first, last) = (band.rows.of(0), band.rows.of(half_sweeps - 1));
        let fronts = first.start.min(last.start)..first.end.max(last.end) + half_sweeps;
        for front in fronts {
            for half_sweep in 0..half_sweeps {
                let y = front - half_sweep;
                if band.rows.of(half_sweep).contains(&y) {
                    relax_row(band, half_sweep as usize % 2, y as usize);
                }
            }
        }
    }
}

#[inline(always)]
fn relax_row(band: &mut Band, color: usize, y: usize) {
    let (n, stride) = (swept(band.stride), band.stride);
    let [red, black] = &mut band.flows;
    let ([own_u, own_v], [other_u, other_v]) = if color == 0 { (red, black) } else { (black, red) };
    let (own, other) = (&band.systems[color], &band.systems[1 - color]);
    let odd = (color + y) % 2;
    let at = (y + 1) * stride + BEFORE;
    let r = at..at + n;
    let known = Known {
        links: [
            &own.right[r.clone()],
            &own.below[r.clone()],
            &other.right[at + odd - 1..],
            &other.below[at - stride..],
        ],
        cross: &own.cross[r.clone()],
        side: own.side.each_ref().map(|side| &side[r.clone()]),
        inverse: own.inverse.each_ref().map(|inverse| &inverse[r.clone()]),
    };
    let at = (y + 1 - band.top) * stride + BEFORE;
    let near = [at + odd, at + stride, at + odd - 1, at - stride];
    let (near_u, near_v) = (near.map(|start| &other_u[start..]), near.map(|start| &other_v[start..]));
    solve(&mut own_u[at..at + n], &mut own_v[at..at + n], near_u, near_v, known);
}

/// What of a row stays as it is: links and neighbours are those to the right, below, to the left and above.
struct Known<'a> {
    links: [&'a [f32]; 4],
    cross: &'a [f32],
    side: [&'a [f32]; 2],
    inverse: [&'a [f32]; 2],
}

/// A function of its own: of its arguments the compiler knows that what is written lies apart from what is read.
#[inline(always)]
fn solve(u: &mut [f32], v: &mut [f32], near_u: [&[f32]; 4], near_v: [&[f32]; 4], known: Known) {
    let n = u.len();
    let v = &mut v[..n];
    let [right, below, left, above] = known.links;
    let (right, below, left, above) = (&right[..n], &below[..n], &left[..n], &above[..n]);
    let ([ue, us, uw, un], [ve, vs, vw, vn]) = (near_u, near_v);
    let (ue, us, uw, un) = (&ue[..n], &us[..n], &uw[..n], &un[..n]);
    let (ve, vs, vw, vn) = (&ve[..n], &vs[..n], &vw[..n], &vn[..n]);
    let (cross, side_u, side_v) = (&known.cross[..n], &known.side[0][..n], &known.side[1][..n]);
    let (inverse_u, inverse_v) = (&known.inverse[0][..n], &known.inverse[1][..n]);
    for k in 0..n {
        let near = (right[k] * ue[k] + below[k] * us[k]) + (left[k] * uw[k] + above[k] * un[k]);
        u[k] = (1.0 - OMEGA) * u[k] + (near + side_u[k] - cross[k] * v[k]) * inverse_u[k];
        let near = (right[k] * ve[k] + below[k] * vs[k]) + (left[k] * vw[k] + above[k] * vn[k]);
        v[k] = (1.0 - OMEGA) * v[k] + (near + side_v[k] - cross[k] * u[k]) * inverse_v[k];
    }
}

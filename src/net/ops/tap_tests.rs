//! Against `f64` in the plainest terms, on odd shapes, for every instruction set.

use super::{
    super::{
        blocked::{to_blocked, to_planar},
        map::stored::{pack, unpack},
        matrix::to_column_blocks,
        parallel::Scratch,
        reference::{Random, relative, sets, unpool_masked},
    },
    *,
};
use crate::threads::Scoped;

struct Case {
    shape: FeatureShape,
    rank: Option<usize>,
    style: bool,
    content: bool,
    /// 0 none, 1 full, 2 pooled.
    upstream: usize,
}

/// `a` (rows, inner) times `b` (inner, columns).
fn multiply(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns)
        .map(|k| (0..inner).map(|i| a[k / columns * inner + i] * b[i * columns + k % columns]).sum())
        .collect()
}

fn transpose(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|k| a[k % rows * columns + k / rows]).collect()
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

const STYLE: Factors = Factors { scale: 0.3, weight: 7.0 };
const CONTENT: Factors = Factors { scale: 0.02, weight: 3.0 };

fn check(case: &Case) {
    let Case { shape, .. } = *case;
    let (c, area) = (shape.channels, shape.area());
    let mut random = Random::new(shape.width + c);
    let f: Vec<f32> = random.normal(shape.len()).iter().map(|v| v.max(0.0)).collect();
    let painting = random.normal(c * 50);
    let a = multiply(&f64s(&painting), &transpose(&f64s(&painting), c, 50), c, 50, c);
    let a: Vec<f32> = a.iter().map(|v| (v / 100.0) as f32).collect();
    let p = random.normal(shape.len());
    let rank = case.rank.unwrap_or(c);
    let head = random.normal(rank * c);
    let (full, pooled) = (random.normal(shape.len()), random.normal(shape.halved().len()));

    let mut expected = vec![0.0; shape.len()];
    let mut values = Values::default();
    if case.style {
        let f = f64s(&f);
        let g = multiply(&f, &transpose(&f, c, area), c, area, c);
        let e: Vec<f64> = g.iter().zip(&a).map(|(g, a)| g / area as f64 - f64::from(*a)).collect();
        let head: Vec<f64> = match case.rank {
            Some(_) => f64s(&head),
            None => (0..c * c).map(|k| f64::from(u8::from(k / c == k % c))).collect(),
        };
        let back = transpose(&head, rank, c);
        let d = multiply(&multiply(&head, &e, rank, c, c), &back, rank, c, rank);
        values.style = f64::from(STYLE.scale) * d.iter().map(|d| d * d).sum::<f64>();
        let slope = multiply(&multiply(&back, &d, c, rank, rank), &head, c, rank, c);
        let factor = 4.0 * f64::from(STYLE.scale * STYLE.weight) / area as f64;
        let gradient = multiply(&slope, &f, c, c, area);
        expected.iter_mut().zip(gradient).for_each(|(to, g)| *to += factor * g);
    }
    if case.content {
        let differences: Vec<f64> = f.iter().zip(&p).map(|(f, p)| f64::from(*f) - f64::from(*p)).collect();
        values.content = f64::from(CONTENT.scale) * differences.iter().map(|d| d * d).sum::<f64>();
        let factor = 2.0 * f64::from(CONTENT.scale * CONTENT.weight);
        expected.iter_mut().zip(differences).for_each(|(to, d)| *to += factor * d);
    }
    match case.upstream {
        1 => expected.iter_mut().zip(&full).for_each(|(to, u)| *to += f64::from(*u)),
        2 => {
            let spread = unpool_masked(&f64s(&pooled), &vec![1.0; shape.len()], shape);
            expected.iter_mut().zip(spread).for_each(|(to, u)| *to += u);
        }
        _ => {}
    }
    expected.iter_mut().zip(&f).for_each(|(to, f)| *to *= f64::from(u8::from(*f > 0.0)));

    let gram = to_column_blocks(c, c, &a);
    let head = f64s(&head);
    let metric = multiply(&transpose(&head, rank, c), &head, c, rank, c);
    let metric = to_column_blocks(c, c, &metric.iter().map(|&m| m as f32).collect::<Vec<_>>());
    let target = StyleTarget { gram: View::new(c, c, &gram), metric: case.rank.map(|_| View::new(c, c, &metric)) };
    let (p, full, pooled) = (to_blocked(&p, shape), to_blocked(&full, shape), to_blocked(&pooled, shape.halved()));
    for (isa, tolerance) in sets(2e-6) {
        let [f, p, full, pooled] = [&to_blocked(&f, shape), &p, &full, &pooled].map(|map| pack(isa, map));
        let upstream = [Upstream::None, Upstream::Full(&full), Upstream::Pooled(&pooled)][case.upstream];
        let terms =
            Terms { style: case.style.then_some((target, STYLE)), content: case.content.then_some((&p[..], CONTENT)) };
        let machine = Machine { isa, threads: &Scoped(2), scratch: &Scratch::new(1) };
        let mut tap = Tap::new(shape);
        let mut gradient = vec![f32::NAN; map::len(isa, shape)];
        for _ in 0..2 {
            // The second run must find nothing left over from the first.
            let found = tap.run(machine, &f, upstream, terms, &mut gradient);
            assert!((found.style - values.style).abs() <= tolerance * values.style, "{isa} {found:?} {values:?}");
            assert!((found.content - values.content).abs() <= tolerance * values.content, "{isa} {found:?} {values:?}");
            let gradient = to_planar(&unpack(isa, &gradient), shape);
            assert!(relative(&gradient, &expected) < tolerance, "{isa} {shape:?}");
        }
        let last = LastConv::new(isa, &random.normal(27 * c));
        let (mut one, mut other) = (vec![f32::NAN; 3 * area], vec![f32::NAN; 3 * area]);
        last.run(machine, &gradient, (shape.height, shape.width), &mut one);
        let values = tap.run(machine, &f, upstream, terms, &mut gradient);
        let found = tap.run_to_picture(machine, &f, upstream, terms, &last, &mut other);
        assert_eq!((found, other), (values, one), "{isa} {shape:?}: strips make no difference");
    }
}

#[test]
fn values_and_gradient_agree_with_f64() {
    // The last is higher than two strips.
    let shapes = [(16, 7, 9), (32, 4, 30), (48, 1, 1), (16, 37, 5)].map(|(c, h, w)| FeatureShape::new(c, h, w));
    for (index, shape) in shapes.into_iter().enumerate() {
        check(&Case { shape, rank: None, style: true, content: false, upstream: index % 3 });
        check(&Case { shape, rank: Some(shape.channels), style: true, content: true, upstream: (index + 1) % 3 });
        check(&Case { shape, rank: Some(5), style: true, content: true, upstream: (index + 2) % 3 });
        check(&Case { shape, rank: None, style: false, content: true, upstream: index % 3 });
    }
}

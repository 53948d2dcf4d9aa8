//! Against naive sums in `f64`, on odd shapes, for every instruction set.

use super::{
    super::{
        blocked::{to_blocked, to_planar},
        map::stored::{pack, unpack},
        parallel::Scratch,
        reference::{self, Random, relative, sets},
    },
    *,
};
use crate::threads::{Scoped, Serial};

const CASES: [(usize, usize, usize, usize); 6] =
    [(16, 16, 9, 7), (32, 48, 5, 13), (48, 16, 1, 1), (16, 64, 3, 30), (64, 32, 16, 16), (16, 16, 2, 3)];

/// Relative error that F(4x4, 3x3) stays under in `f32`.
const TOLERANCE: f64 = 2e-6;

#[test]
fn forward_gives_values_signs_and_means() {
    for (inputs, outputs, height, width) in CASES {
        let mut random = Random::new(inputs + width);
        let (x, weight) = (random.normal(inputs * height * width), random.normal(outputs * inputs * 9));
        let bias = random.normal(outputs);
        let (shape_in, shape) = (FeatureShape::new(inputs, height, width), FeatureShape::new(outputs, height, width));
        let expected = reference::conv_relu(&x, &weight, &bias, shape_in, outputs);
        let pooled_expected = reference::pool(&expected, shape);
        for (isa, tolerance) in sets(TOLERANCE) {
            let conv = Conv3x3::forward(isa, &weight, &bias, outputs, inputs);
            let mut values = vec![f32::NAN; map::len(isa, shape)];
            let mut signs = vec![0; shape.pixels()];
            let mut pooled = vec![f32::NAN; map::len(isa, shape.halved())];
            let to = Activations { values: Some(&mut values), signs: Some(&mut signs), pooled: Some(&mut pooled) };
            let scratch = Scratch::new(3);
            conv.run_forward(
                Machine { isa, threads: &Scoped(3), scratch: &scratch },
                &pack(isa, &to_blocked(&x, shape_in)),
                (height, width),
                to,
            );
            let (values, pooled) = (unpack(isa, &values), unpack(isa, &pooled));
            assert!(relative(&to_planar(&values, shape), &expected) < tolerance, "{isa} values {shape:?}");
            assert!(
                shape.halved().is_empty()
                    || relative(&to_planar(&pooled, shape.halved()), &pooled_expected) < tolerance,
                "{isa} means {shape:?}"
            );
            for (k, value) in values.iter().enumerate() {
                assert_eq!(signs[k / LANES] >> (k % LANES) & 1 == 1, *value > 0.0, "{isa} sign {k} of {shape:?}");
            }
        }
    }
}

#[test]
fn backward_is_the_transpose_masked() {
    for (inputs, outputs, height, width) in CASES {
        let mut random = Random::new(outputs + height);
        let (weight, gradient) = (random.normal(outputs * inputs * 9), random.normal(outputs * height * width));
        let (shape, shape_in) = (FeatureShape::new(outputs, height, width), FeatureShape::new(inputs, height, width));
        let layer = random.normal(shape_in.len());
        let mut expected = reference::conv_transposed(&gradient, &weight, shape, inputs);
        for (value, &activation) in expected.iter_mut().zip(&layer) {
            *value *= f64::from(u8::from(activation > 0.0));
        }
        let signs = reference::signs(&to_blocked(&layer, shape_in));
        for (isa, tolerance) in sets(TOLERANCE) {
            let conv = Conv3x3::backward(isa, &weight, outputs, inputs);
            let mut values = vec![f32::NAN; map::len(isa, shape_in)];
            let to = Gradient { values: &mut values, signs: Some(&signs), before_pool: None };
            let scratch = Scratch::new(3);
            conv.run_backward(
                Machine { isa, threads: &Scoped(2), scratch: &scratch },
                &pack(isa, &to_blocked(&gradient, shape)),
                (height, width),
                to,
            );
            let values = unpack(isa, &values);
            assert!(relative(&to_planar(&values, shape_in), &expected) < tolerance, "{isa} {shape:?}");
        }
    }
}

#[test]
fn backward_through_a_pool_drops_odd_sides() {
    for (height, width) in [(9, 7), (8, 5), (3, 8), (2, 2), (31, 18)] {
        let (outputs, inputs) = (32, 16);
        let mut random = Random::new(height);
        let before = FeatureShape::new(inputs, height, width);
        let shape = FeatureShape { channels: outputs, ..before.halved() };
        let (weight, gradient) = (random.normal(outputs * inputs * 9), random.normal(shape.len()));
        let layer = random.normal(before.len());
        let pooled = reference::conv_transposed(&gradient, &weight, shape, inputs);
        let expected = reference::unpool_masked(&pooled, &layer, before);
        let signs = reference::signs(&to_blocked(&layer, before));
        for (isa, tolerance) in sets(TOLERANCE) {
            let conv = Conv3x3::backward(isa, &weight, outputs, inputs);
            let mut values = vec![f32::NAN; map::len(isa, before)];
            let to = Gradient { values: &mut values, signs: Some(&signs), before_pool: Some((height, width)) };
            let (scratch, size) = (Scratch::new(1), (shape.height, shape.width));
            conv.run_backward(
                Machine { isa, threads: &Serial, scratch: &scratch },
                &pack(isa, &to_blocked(&gradient, shape)),
                size,
                to,
            );
            let values = unpack(isa, &values);
            assert!(relative(&to_planar(&values, before), &expected) < tolerance, "{isa} {before:?}");
        }
    }
}

//! One optimizer step as one graph, from picture to picture: the objective (`net/objective.rs`), the terms on the pixels
//! themselves (total variation and the temporal cost), Adam, and the clamp to the colours there are. Whatever it reads and
//! writes can stay on the device; [`crate::engine::resident`] runs it.
//!
//! The formulas are those of [`crate::cost`] and [`crate::optim::adam`], which it is tested against.

use super::{
    graph::{GRADIENT, Mask, PICTURE, Storage},
    objective::{Coefficients, write_objective, write_sum_of_squares},
    onnx::{Attribute, GraphWriter},
    vgg::Vgg,
};
use crate::{
    frame::Size,
    optim::adam::{BETA1, BETA2, EPSILON},
};

/// The scale of the content cost, (1); in relative units it depends on the frame.
pub const CONTENT_SCALE: &str = "content_scale";
/// Adam's gain for every pixel, (1, 1, H, W).
pub const GAINS: &str = "gains";
/// w of the temporal cost, (1, 3, H, W).
pub const ANCHOR: &str = "anchor";
/// c of the temporal cost, in 0..1, (1, 1, H, W).
pub const RELIABILITY: &str = "reliability";
/// What changes seldom: see [`Factors`].
pub const FACTORS: &str = "factors";
/// What the terms' sums are multiplied with to be their values, in the order of [`LOSSES`]; but for the content's, which
/// [`CONTENT_SCALE`] completes.
pub const SCALES: &str = "value_scales";
/// The terms' values, unweighted: each tap's style, content, total variation, that of colours, temporal.
pub const LOSSES: &str = "losses";
/// The optimizer's state, in this order: both moments (1, 3, H, W), and how much of each was seen, `1 - beta^t`, (1, 1, H, W).
pub const STATE: [&str; 4] = ["first", "second", "seen_first", "seen_second"];
/// Of these the momentum: the first moment and its weight.
pub const MOVING: [&str; 2] = [STATE[0], STATE[2]];

/// The name of what a run leaves in the place of `name`: [`PICTURE`], or one of [`STATE`].
pub fn next(name: &str) -> String {
    format!("next_{name}")
}

/// The shape of a state vector or picture for this size.
pub fn shape_of(name: &str, size: Size) -> [usize; 4] {
    let single = [STATE[2], STATE[3], GAINS, RELIABILITY].contains(&name);
    [1, if single { 1 } else { 3 }, size.height, size.width]
}

/// The numbers in [`FACTORS`].
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Scale times weight of each tap's style cost.
    pub style: Vec<f32>,
    /// The content cost's weight.
    pub content: f32,
    /// tau, of all channels and of colours.
    pub tv: [f32; 2],
    /// gamma
    pub temporal: f32,
    /// Adam's rate.
    pub rate: f32,
    /// The share of the mean second moment that an element borrows which has forgotten its own; 0 where nothing was carried.
    pub prior: f32,
    /// The longest step, in rates.
    pub longest: f32,
}

impl Factors {
    pub fn to_vec(&self) -> Vec<f32> {
        let [tv, colour] = self.tv;
        let rest = [self.content, tv, colour, self.temporal, self.rate, self.prior, self.longest];
        self.style.iter().copied().chain(rest).collect()
    }
}

/// Length of [`FACTORS`] and of [`LOSSES`].
pub fn lengths(vgg: &Vgg) -> (usize, usize) {
    (vgg.taps.len() + 7, vgg.taps.len() + 4)
}

/// The scales of the values that depend on size and storage only: of content, total variation and the colours', temporal.
pub fn pixel_scales(size: Size, storage: Storage) -> [f32; 4] {
    let pixels = 1.0 / (3 * size.area()) as f32;
    [1.0 / storage.scale().powi(2), pixels, pixels, pixels]
}

/// The whole step. With `gradient` the gradient of all terms is an output too.
pub fn iteration(vgg: &Vgg, size: Size, storage: Storage, gradient: bool) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    for name in [PICTURE, ANCHOR, RELIABILITY, GAINS].into_iter().chain(STATE) {
        graph.input(name, &shape_of(name, size));
    }
    graph.input(CONTENT_SCALE, &[1]);
    let (factors, losses) = lengths(vgg);
    graph.input(FACTORS, &[factors]);
    graph.input(SCALES, &[losses]);
    let names: Vec<String> = (0..factors).map(|index| format!("factor{index}")).collect();
    let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
    graph.node_in("", "Split", &[FACTORS], &outputs, &[("axis", Attribute::Int(0))]);
    let (style, rest) = outputs.split_at(vgg.taps.len());
    let [content, tv, colour, temporal, rate, prior, longest] = rest else {
        unreachable!("seven factors after the taps'")
    };

    let content = graph.node("Mul", &[content, CONTENT_SCALE], "content_coefficient", &[]);
    let coefficients = Coefficients { style: style.iter().map(|&name| name.to_owned()).collect(), content };
    let written = write_objective(&mut graph, vgg, size, PICTURE, (storage, Mask::Sign), &coefficients);
    let (smooth, [varied, coloured]) = write_total_variation(&mut graph, size, [tv, colour]);
    let (held, moved) = write_temporal(&mut graph, size, temporal);
    let sum = graph.node("Add", &[&written.gradient, &smooth], "gradient_with_tv", &[]);
    let sum = graph.node("Add", &[&sum, &held], "gradient_of_all", &[]);
    let content = graph.node("Mul", &[&written.content, CONTENT_SCALE], "content_scaled", &[]);
    let sums = [&written.style[..], &[content, varied, coloured, moved]].concat();
    write_losses(&mut graph, &sums, losses);
    write_adam(&mut graph, &sum, [rate, prior, longest]);
    for name in [PICTURE].into_iter().chain(STATE) {
        graph.output(&next(name), &shape_of(name, size));
    }
    if gradient {
        graph.node("Identity", &[&sum], WHOLE_GRADIENT, &[]);
        graph.output(WHOLE_GRADIENT, &shape_of(GRADIENT, size));
    }
    graph.finish()
}

/// The gradient of all terms, where it is asked for.
pub const WHOLE_GRADIENT: &str = "gradient_all";

/// Every sum times its scale, as one list.
fn write_losses(graph: &mut GraphWriter, sums: &[String], count: usize) {
    graph.integers("one", &[1]);
    let flat =
        |graph: &mut GraphWriter, sum: &String| graph.node("Reshape", &[sum, "one"], &format!("flat_{sum}"), &[]);
    let flat: Vec<String> = sums.iter().map(|sum| flat(graph, sum)).collect();
    let inputs: Vec<&str> = flat.iter().map(String::as_str).collect();
    let all = graph.node("Concat", &inputs, "all_sums", &[("axis", Attribute::Int(0))]);
    graph.node("Mul", &[&all, SCALES], LOSSES, &[]);
    graph.output(LOSSES, &[count]);
}

/// Total variation as in [`crate::cost::tv`]: its weighted gradient, and the sums of squares of all channels and of colours.
fn write_total_variation(graph: &mut GraphWriter, size: Size, weights: [&str; 2]) -> (String, [String; 2]) {
    let mut parts = Vec::new();
    for (axis, name, side) in [(3i64, "across", size.width), (2, "down", size.height)] {
        let (from, to) = (format!("tv_second_{name}"), format!("tv_last_{name}"));
        let (one, end) = (graph.integers(&from, &[1]), graph.integers(&to, &[side as i64]));
        let (zero, before) = (
            graph.integers(&format!("tv_first_{name}"), &[0]),
            graph.integers(&format!("tv_end_{name}"), &[side as i64 - 1]),
        );
        let axis_name = graph.integers(&format!("tv_axis_{name}"), &[axis]);
        let later = graph.node("Slice", &[PICTURE, &one, &end, &axis_name], &format!("later_{name}"), &[]);
        let earlier = graph.node("Slice", &[PICTURE, &zero, &before, &axis_name], &format!("earlier_{name}"), &[]);
        let step = graph.node("Sub", &[&later, &earlier], &format!("step_{name}"), &[]);
        let grey = write_channel_mean(graph, &step, &format!("tv_grey_step_{name}"));
        let colour = graph.node("Sub", &[&step, &grey], &format!("tv_colour_step_{name}"), &[]);
        let sums = [(&step, "all"), (&colour, "colour")]
            .map(|(step, what)| write_sum_of_squares(graph, step, &format!("tv_sum_{what}_{name}")));
        // A pixel's gradient is the step to it minus the step from it.
        let pad = |graph: &mut GraphWriter, begin: usize, end: usize, what: &str| {
            let mut pads = [0i64; 8];
            (pads[axis as usize], pads[4 + axis as usize]) = (begin as i64, end as i64);
            let pads = graph.integers(&format!("tv_pads_{what}_{name}"), &pads);
            graph.node("Pad", &[&step, &pads], &format!("step_{what}_{name}"), &[])
        };
        let (to, from) = (pad(graph, 1, 0, "to"), pad(graph, 0, 1, "from"));
        parts.push((graph.node("Sub", &[&to, &from], &format!("tv_gradient_{name}"), &[]), sums));
    }
    let gradient = graph.node("Add", &[&parts[0].0, &parts[1].0], "tv_gradient", &[]);
    let factor = graph.constant("tv_factor", &[1], &[2.0 / (3 * size.area()) as f32]);
    // The colours' share of it is what it has beside its mean, as they are.
    let grey = write_channel_mean(graph, &gradient, "tv_grey");
    let colour = graph.node("Sub", &[&gradient, &grey], "tv_colour", &[]);
    let [all, colour] =
        [(&gradient, weights[0], "all"), (&colour, weights[1], "colour")].map(|(part, weight, what)| {
            let factor = graph.node("Mul", &[weight, &factor], &format!("tv_coefficient_{what}"), &[]);
            graph.node("Mul", &[part, &factor], &format!("tv_weighted_{what}"), &[])
        });
    let sums = [(0, "all"), (1, "colour")]
        .map(|(k, what)| graph.node("Add", &[&parts[0].1[k], &parts[1].1[k]], &format!("tv_sum_{what}"), &[]));
    (graph.node("Add", &[&all, &colour], "tv_weighted", &[]), sums)
}

/// The mean of the channels at each pixel, (1, 1, H, W).
fn write_channel_mean(graph: &mut GraphWriter, of: &str, name: &str) -> String {
    let axes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    graph.node("ReduceMean", &[of], name, &axes)
}

/// The temporal cost as in [`crate::cost::temporal`]: its weighted gradient, and the sum.
fn write_temporal(graph: &mut GraphWriter, size: Size, weight: &str) -> (String, String) {
    let way = graph.node("Sub", &[PICTURE, ANCHOR], "way_from_anchor", &[]);
    let held = graph.node("Mul", &[&way, RELIABILITY], "way_held", &[]);
    let squares = graph.node("Mul", &[&held, &way], "way_squares", &[]);
    let sum = graph.node("ReduceSum", &[&squares], "temporal_sum", &[("keepdims", Attribute::Int(1))]);
    let factor = graph.constant("temporal_factor", &[1], &[2.0 / (3 * size.area()) as f32]);
    let factor = graph.node("Mul", &[weight, &factor], "temporal_coefficient", &[]);
    (graph.node("Mul", &[&held, &factor], "temporal_weighted", &[]), sum)
}

/// Adam as in [`crate::optim::adam`], and the clamp.
fn write_adam(graph: &mut GraphWriter, gradient: &str, [rate, prior, longest]: [&str; 3]) {
    let [first, second, seen_first, seen_second] = STATE;
    let common = write_common(graph);
    let scalar = |graph: &mut GraphWriter, name: &str, value: f32| graph.constant(name, &[1], &[value]);
    let decayed = |graph: &mut GraphWriter, name: &str, beta: f32, addition: &str| {
        let beta = scalar(graph, &format!("beta_{name}"), beta);
        let kept = graph.node("Mul", &[name, &beta], &format!("kept_{name}"), &[]);
        graph.node("Add", &[&kept, addition], &next(name), &[])
    };
    let (rest1, rest2) = (scalar(graph, "rest_first", 1.0 - BETA1), scalar(graph, "rest_second", 1.0 - BETA2));
    let share = graph.node("Mul", &[gradient, &rest1], "share_first", &[]);
    let m = decayed(graph, first, BETA1, &share);
    let share = graph.node("Mul", &[gradient, &rest2], "share_second", &[]);
    let share = graph.node("Mul", &[&share, gradient], "square_second", &[]);
    let v = decayed(graph, second, BETA2, &share);
    let wm = decayed(graph, seen_first, BETA1, &rest1);
    let wv = decayed(graph, seen_second, BETA2, &rest2);

    let known = graph.node("Sign", &[&common], "common_known", &[]);
    let prior = graph.node("Mul", &[prior, &known], "prior_if_known", &[]);
    let one = scalar(graph, "unit", 1.0);
    let lack = graph.node("Sub", &[&one, &wv], "not_seen", &[]);
    let borrowed = graph.node("Mul", &[&lack, &prior], "borrowed", &[]);
    let lent = graph.node("Mul", &[&borrowed, &common], "lent", &[]);
    let sum = graph.node("Add", &[&v, &lent], "second_and_lent", &[]);
    let weight = graph.node("Add", &[&wv, &borrowed], "seen_and_borrowed", &[]);
    let mean_square = graph.node("Div", &[&sum, &weight], "mean_square", &[]);
    let root = graph.node("Sqrt", &[&mean_square], "root_mean_square", &[]);
    let epsilon = scalar(graph, "epsilon", EPSILON);
    let root = graph.node("Add", &[&root, &epsilon], "root_not_zero", &[]);

    let direction = graph.node("Div", &[&m, &root], "direction", &[]);
    let direction = graph.node("Div", &[&direction, &wm], "direction_corrected", &[]);
    let back = graph.node("Neg", &[longest], "longest_back", &[]);
    let direction = graph.node("Min", &[&direction, longest], "not_too_far", &[]);
    let direction = graph.node("Max", &[&direction, &back], "not_too_far_back", &[]);
    let stride = graph.node("Mul", &[GAINS, rate], "stride_gain", &[]);
    let stride = graph.node("Mul", &[&direction, &stride], "stride", &[]);
    let moved = graph.node("Sub", &[PICTURE, &stride], "moved", &[]);
    write_clamp(graph, &moved, &next(PICTURE));
}

/// Onto the colours there are, 0..1.
pub(super) fn write_clamp(graph: &mut GraphWriter, input: &str, output: &str) -> String {
    graph.constant("darkest", &[], &[0.0]);
    graph.constant("lightest", &[], &[1.0]);
    graph.node("Clip", &[input, "darkest", "lightest"], output, &[])
}

/// The mean corrected second moment before the step, one element.
fn write_common(graph: &mut GraphWriter) -> String {
    let all = [("keepdims", Attribute::Int(1))];
    let sum = graph.node("ReduceSum", &[STATE[1]], "second_sum", &all);
    let weight = graph.node("ReduceSum", &[STATE[3]], "seen_second_sum", &all);
    // The weights are the same in all three channels, and stored once.
    let channels = graph.constant("channels", &[1], &[3.0]);
    let weight = graph.node("Mul", &[&weight, &channels], "seen_second_of_all", &[]);
    let least = graph.constant("seen_least", &[1], &[1e-20]);
    let weight = graph.node("Max", &[&weight, &least], "seen_second_not_zero", &[]);
    graph.node("Div", &[&sum, &weight], "common", &[])
}

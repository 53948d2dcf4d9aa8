//! The start of a frame as graphs, so that it can be made on the device: what the network sees in the frame, and the last
//! solution moved along the motion.
//!
//! The warp is that of [`crate::motion::SplineWarp`], made of operators that there are. The spline's prefilter, a recursion
//! there, is its impulse response here, cut off where it is below 1e-6. Its sixteen weighted coefficients are four bilinear
//! samples between them (Sigg & Hadwiger, "Fast third-order texture filtering", GPU Gems 2, 2005). `GridSample`'s own
//! bicubic mode is another kernel (Keys' with -0.75), which rings when a picture is warped in every frame.

use super::{
    graph::{PICTURE, Storage, map_name, write_forward},
    iteration::{ANCHOR, CONTENT_SCALE, MOVING, STATE, next, shape_of, write_clamp},
    onnx::{Attribute, GraphWriter},
    step::CONTENT,
    vgg::Vgg,
};
use crate::{
    cost::Units,
    frame::Size,
    motion::{
        LUMA,
        warp::{POLE, SNAP},
    },
    warm_start::FINE,
};

/// The frame: RGB, 0..1, (1, 3, H, W).
pub const FRAME: &str = "frame";
/// The frame before.
pub const BEFORE: &str = "before";
/// From each pixel to its place in the frame before, in pixels: (1, 2, H, W), across and down.
pub const FLOW: &str = "flow";
/// The share of the frame's unexplained fine detail that the paint covers, in 0..1: (1, 1, H, W).
pub const COVER: &str = "cover";
/// How much of the optimizer's momentum is taken along, in 0..1: (1, 1, H, W).
pub const MOMENTUM: &str = "momentum";
/// How far the carried paint's own fine detail is smoothed away, in 0..1: (1, 1, H, W).
pub const SOFTNESS: &str = "softness";

/// The share of the paint that the content cost allows for, in 0..1: (1, 1, H, W).
pub const ALLOWED: &str = "allowed";

/// Frame, the picture that its steps start from and the share of its paint that is allowed for in; the content features P as they are stored, and the scale of the content cost out.
pub fn look(vgg: &Vgg, size: Size, units: Units, storage: Storage) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    let shape = vgg.shapes(size)[vgg.content];
    for name in [FRAME, PICTURE] {
        graph.input(name, &[1, 3, size.height, size.width]);
    }
    graph.input(ALLOWED, &[1, 1, size.height, size.width]);
    let aim = write_aim(&mut graph);
    write_forward(&mut graph, vgg, &aim, vgg.content + 1, storage);
    let map = map_name(vgg.content);
    let features = match storage {
        Storage::Single => graph.node("Identity", &[&map], CONTENT, &[]),
        Storage::Half { .. } => graph.to_single(&map, CONTENT),
    };
    graph.output(&features, &shape.nchw());
    let values = shape.channels * shape.size.area();
    let one = graph.constant("one", &[1], &[1.0]);
    match units {
        Units::Relative => {
            let flat = graph.integers("flat", &[-1]);
            let list = graph.node("Reshape", &[&features, &flat], "features_list", &[]);
            let keep = [("keepdims", Attribute::Int(1))];
            let energy = graph.node("ReduceSumSquare", &[&list], "stored_energy", &keep);
            let square = graph.constant("square", &[1], &[storage.scale().powi(2).recip()]);
            let energy = graph.node("Mul", &[&energy, &square], "energy", &[]);
            // As in cost::content: a frame without features counts as unit energy.
            let least = graph.constant("least", &[1], &[1e-6 * values as f32]);
            let energy = graph.node("Max", &[&energy, &least], "energy_not_zero", &[]);
            graph.node("Div", &[&one, &energy], CONTENT_SCALE, &[]);
        }
        Units::Course => {
            let energy = graph.constant("energy", &[1], &[4.0 * values as f32]);
            graph.node("Div", &[&one, &energy], CONTENT_SCALE, &[]);
        }
    }
    graph.output(CONTENT_SCALE, &[1]);
    graph.finish()
}

/// Frame, frame before, flow, cover, softness, momentum, picture and state in; the picture that the frame's steps start from
/// (twice: it is the temporal cost's anchor too) and the state carried out: `c_t + soften(warp(x_{t-1} - c_{t-1})) - cover * fine`
/// and `warp(state)`, of the first moment and its weight the share `momentum`. `fine` is the fine detail of the luma of
/// `c_t - warp(c_{t-1})`, as in [`crate::warm_start`].
pub fn carry(size: Size) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    for name in [FRAME, BEFORE] {
        graph.input(name, &[1, 3, size.height, size.width]);
    }
    graph.input(FLOW, &[1, 2, size.height, size.width]);
    for name in [COVER, SOFTNESS, MOMENTUM] {
        graph.input(name, &[1, 1, size.height, size.width]);
    }
    for name in [PICTURE].into_iter().chain(STATE) {
        graph.input(name, &shape_of(name, size));
    }
    let (across, down) = (Axis::across(size), Axis::down(size));
    graph.node_in("", "Split", &[FLOW], &["flow_across", "flow_down"], &[("axis", Attribute::Int(1))]);
    let [across, down] = [across, down].map(|axis| axis.write(&mut graph));

    let difference = graph.node("Sub", &[PICTURE, BEFORE], "difference", &[]);
    let channels = [("axis", Attribute::Int(1))];
    let luma = graph.constant("luma", &[1, 3, 1, 1], &LUMA);
    let before = graph.node("Conv", &[BEFORE, &luma], "before_luma", &[]);
    let now = graph.node("Conv", &[FRAME, &luma], "frame_luma", &[]);
    let both = graph.node("Concat", &[&difference, &before], "difference_and_before", &channels);
    let warped = write_spline(&mut graph, size, &both, &across, &down);
    let parts = graph.integers("difference_and_luma", &[3, 1]);
    graph.node_in("", "Split", &[&warped, &parts], &["difference_carried", "before_carried"], &channels);
    let residual = graph.node("Sub", &[&now, "before_carried"], "residual", &[]);
    let fine = write_fine_detail(&mut graph, &residual);
    let covered = graph.node("Mul", &[&fine, COVER], "detail_covered", &[]);
    let own = write_fine_detail(&mut graph, "difference_carried");
    let lost = graph.node("Mul", &[&own, SOFTNESS], "difference_lost", &[]);
    let softened = graph.node("Sub", &["difference_carried", &lost], "difference_softened", &[]);
    let carried = graph.node("Sub", &[&softened, &covered], "difference_covering", &[]);
    let started = graph.node("Add", &[FRAME, &carried], "started", &[]);
    let start = write_clamp(&mut graph, &started, &next(PICTURE));
    // What the temporal cost holds the frame's steps to.
    graph.node("Identity", &[&start], ANCHOR, &[]);
    graph.output(ANCHOR, &shape_of(PICTURE, size));

    let state = graph.node("Concat", &STATE, "state", &[("axis", Attribute::Int(1))]);
    let grid = write_grid(&mut graph, "state_grid", &across.position, &down.position);
    let carried = sample(&mut graph, &state, &grid, "bilinear", "state_carried");
    let parts = graph.integers("state_parts", &STATE.map(|name| shape_of(name, size)[1] as i64));
    let carried_names = ["first_carried", "second_carried", "seen_first_carried", "seen_second_carried"];
    graph.node_in("", "Split", &[&carried, &parts], &carried_names, &[("axis", Attribute::Int(1))]);
    for (name, carried) in STATE.into_iter().zip(carried_names) {
        if MOVING.contains(&name) {
            graph.node("Mul", &[carried, MOMENTUM], &next(name), &[]);
        } else {
            graph.node("Identity", &[carried], &next(name), &[]);
        }
    }
    for name in [PICTURE].into_iter().chain(STATE) {
        graph.output(&next(name), &shape_of(name, size));
    }
    graph.finish()
}

/// The frame, and on it what of the paint the content cost allows for, as [`crate::warm_start::Carrier::aim`].
fn write_aim(graph: &mut GraphWriter) -> String {
    let paint = graph.node("Sub", &[PICTURE, FRAME], "paint", &[]);
    let paint = graph.node("Mul", &[&paint, ALLOWED], "paint_allowed", &[]);
    graph.node("Add", &[FRAME, &paint], "aim", &[])
}

/// A picture less its mean over a square of side `2 FINE + 1`, the border repeated.
fn write_fine_detail(graph: &mut GraphWriter, of: &str) -> String {
    let (pads, side) = (FINE as i64, 2 * FINE as i64 + 1);
    let pads = graph.integers(&format!("{of}_pads"), &[0, 0, pads, pads, 0, 0, pads, pads]);
    let edge = [("mode", Attribute::Text("edge"))];
    let padded = graph.node("Pad", &[of, &pads], &format!("{of}_padded"), &edge);
    let window = [("kernel_shape", Attribute::Ints(vec![side, side]))];
    let coarse = graph.node("AveragePool", &[&padded], &format!("{of}_coarse"), &window);
    graph.node("Sub", &[of, &coarse], &format!("{of}_fine"), &[])
}

/// One of the picture's directions.
struct Axis {
    name: &'static str,
    side: usize,
    /// Of the list of pixel positions.
    shape: [usize; 4],
}

/// Where every pixel samples along an axis; names of (1, 1, H, W) values.
struct Place {
    /// In -1..1.
    position: String,
    /// The pixel at or before it.
    low: String,
    /// 1 where it is a pixel's centre.
    centred: String,
    /// The two bilinear samples that make a cubic B-spline, and the weight of the first.
    samples: [String; 2],
    weight: String,
}

impl Axis {
    fn across(size: Size) -> Self {
        Axis { name: "across", side: size.width, shape: [1, 1, 1, size.width] }
    }

    fn down(size: Size) -> Self {
        Axis { name: "down", side: size.height, shape: [1, 1, size.height, 1] }
    }

    fn write(self, graph: &mut GraphWriter) -> Place {
        let mut names = Names { graph, suffix: self.name, side: self.side };
        let pixels: Vec<f32> = (0..self.side).map(|pixel| pixel as f32).collect();
        let pixels = names.graph.constant(&format!("pixels_{}", self.name), &self.shape, &pixels);
        let flow = format!("flow_{}", self.name);
        let moved = names.node("Add", &[&pixels, &flow], "moved");
        let (first, last) = (names.scalar("first", 0.0), names.scalar("last", (self.side - 1) as f32));
        let position = names.node("Clip", &[&moved, &first, &last], "clipped");
        // A position this near to a pixel's centre is that pixel, as in motion::warp.
        let half = names.scalar("half", 0.5);
        let nearest = names.node("Add", &[&position, &half], "half_more");
        let nearest = names.node("Floor", &[&nearest], "nearest");
        let away = names.node("Sub", &[&position, &nearest], "away_signed");
        let away = names.node("Abs", &[&away], "away");
        let snap = names.scalar("snap", SNAP);
        let centred = names.node("Less", &[&away, &snap], "centred");
        let position = names.node("Where", &[&centred, &nearest, &position], "position");
        let low = names.node("Floor", &[&position], "low");
        let t = names.node("Sub", &[&position, &low], "t");
        let (weight, samples) = names.b_spline(&low, &t);
        let samples = [names.normalized(&samples[0], "first_sample"), names.normalized(&samples[1], "second_sample")];
        let (position, low) = (names.normalized(&position, "place"), names.normalized(&low, "low_place"));
        Place { position, low, centred, samples, weight }
    }
}

/// A graph with the names of an axis.
struct Names<'a> {
    graph: &'a mut GraphWriter,
    suffix: &'static str,
    side: usize,
}

impl Names<'_> {
    fn node(&mut self, op: &'static str, inputs: &[&str], name: &str) -> String {
        self.graph.node(op, inputs, &format!("{name}_{}", self.suffix), &[])
    }

    fn scalar(&mut self, name: &str, value: f32) -> String {
        self.graph.constant(&format!("{name}_{}", self.suffix), &[], &[value])
    }

    /// A position in pixels, in the -1..1 of `GridSample` with aligned corners.
    fn normalized(&mut self, position: &str, name: &str) -> String {
        let factor = self.scalar(&format!("{name}_factor"), 2.0 / (self.side - 1).max(1) as f32);
        let one = self.scalar(&format!("{name}_one"), 1.0);
        let scaled = self.node("Mul", &[position, &factor], &format!("{name}_scaled"));
        self.node("Sub", &[&scaled, &one], name)
    }

    /// Of the spline's weights w at the four pixels around `low + t`: the sum of the first two, and the places between the
    /// first two and between the last two at which a bilinear sample weighs each pair right.
    fn b_spline(&mut self, low: &str, t: &str) -> (String, [String; 2]) {
        let one = self.scalar("one", 1.0);
        let s = self.node("Sub", &[&one, t], "s");
        let (outer_first, inner_first) = (self.outer(&s, "first"), self.inner(t, "second"));
        let outer_last = self.outer(t, "last");
        let weight = self.node("Add", &[&outer_first, &inner_first], "first_pair");
        let second = self.node("Sub", &[&one, &weight], "second_pair");
        let way = self.node("Div", &[&inner_first, &weight], "way_first");
        let before = self.node("Sub", &[low, &one], "pixel_before");
        let first_sample = self.node("Add", &[&before, &way], "between_first");
        let way = self.node("Div", &[&outer_last, &second], "way_second");
        let after = self.node("Add", &[low, &one], "pixel_after");
        let second_sample = self.node("Add", &[&after, &way], "between_second");
        (weight, [first_sample, second_sample])
    }

    /// `t^3 / 6`
    fn outer(&mut self, t: &str, name: &str) -> String {
        let sixth = self.scalar(&format!("sixth_{name}"), 1.0 / 6.0);
        let square = self.node("Mul", &[t, t], &format!("square_{name}"));
        let cube = self.node("Mul", &[&square, t], &format!("cube_{name}"));
        self.node("Mul", &[&cube, &sixth], &format!("weight_{name}"))
    }

    /// `2/3 - t^2 (1 - t / 2)`
    fn inner(&mut self, t: &str, name: &str) -> String {
        let (half, one) = (self.scalar(&format!("half_{name}"), 0.5), self.scalar(&format!("one_{name}"), 1.0));
        let thirds = self.scalar(&format!("thirds_{name}"), 2.0 / 3.0);
        let square = self.node("Mul", &[t, t], &format!("square_{name}"));
        let rest = self.node("Mul", &[t, &half], &format!("half_of_{name}"));
        let rest = self.node("Sub", &[&one, &rest], &format!("rest_{name}"));
        let product = self.node("Mul", &[&square, &rest], &format!("product_{name}"));
        self.node("Sub", &[&thirds, &product], &format!("weight_{name}"))
    }
}

/// Places (1, 1, H, W) across and down as a grid (1, H, W, 2).
fn write_grid(graph: &mut GraphWriter, name: &str, across: &str, down: &str) -> String {
    let axis = graph.integers(&format!("{name}_axis"), &[4]);
    // (1, 1, H, W) to (1, 1, H, W, 1), joined to (1, 1, H, W, 2).
    let across = graph.node("Unsqueeze", &[across, &axis], &format!("{name}_across"), &[]);
    let down = graph.node("Unsqueeze", &[down, &axis], &format!("{name}_down"), &[]);
    let both = graph.node("Concat", &[&across, &down], &format!("{name}_both"), &[("axis", Attribute::Int(4))]);
    let first = graph.integers(&format!("{name}_first"), &[0]);
    graph.node("Squeeze", &[&both, &first], name, &[])
}

fn sample(graph: &mut GraphWriter, source: &str, grid: &str, mode: &'static str, output: &str) -> String {
    let attributes = [
        ("mode", Attribute::Text(mode)),
        ("padding_mode", Attribute::Text("border")),
        ("align_corners", Attribute::Int(1)),
    ];
    graph.node("GridSample", &[source, grid], output, &attributes)
}

/// `source` (1, 4, H, W) where the places say, by cubic B-spline interpolation within the range of the four nearest pixels.
fn write_spline(graph: &mut GraphWriter, size: Size, source: &str, across: &Place, down: &Place) -> String {
    let coefficients = write_prefilter(graph, size, source);
    let mut rows = Vec::new();
    for (row, y) in down.samples.iter().enumerate() {
        let [left, right] = [0, 1].map(|column| {
            let name = format!("spline_grid{row}{column}");
            let grid = write_grid(graph, &name, &across.samples[column], y);
            sample(graph, &coefficients, &grid, "bilinear", &format!("spline_sample{row}{column}"))
        });
        rows.push(mix(graph, &left, &right, &across.weight, &format!("spline_row{row}")));
    }
    let spline = mix(graph, &rows[0], &rows[1], &down.weight, "spline");

    // The largest and, of the negative, the smallest of each pixel, the next, the one below and the one after that.
    let negative = graph.node("Neg", &[source], "source_negative", &[]);
    let both = graph.node("Concat", &[source, &negative], "source_both", &[("axis", Attribute::Int(1))]);
    let window = [("kernel_shape", Attribute::Ints(vec![2, 2])), ("pads", Attribute::Ints(vec![0, 0, 1, 1]))];
    let most = graph.node("MaxPool", &[&both], "source_most", &window);
    let near = graph.node("Concat", &[&most, source], "source_near", &[("axis", Attribute::Int(1))]);
    let grid = write_grid(graph, "low_grid", &across.low, &down.low);
    let near = sample(graph, &near, &grid, "nearest", "near");
    graph.node_in("", "Split", &[&near], &["near_most", "near_least", "near_itself"], &[("axis", Attribute::Int(1))]);
    let least = graph.node("Neg", &["near_least"], "near_least_positive", &[]);
    let held = graph.node("Min", &[&spline, "near_most"], "spline_not_above", &[]);
    let held = graph.node("Max", &[&held, &least], "spline_held", &[]);
    // What samples at a pixel's centre is that pixel, to the bit: nothing is resampled where nothing moves.
    let centred = graph.node("And", &[&across.centred, &down.centred], "centred_both", &[]);
    graph.node("Where", &[&centred, "near_itself", &held], "warped", &[])
}

/// `weight * a + (1 - weight) * b`
fn mix(graph: &mut GraphWriter, a: &str, b: &str, weight: &str, output: &str) -> String {
    let way = graph.node("Sub", &[a, b], &format!("{output}_way"), &[]);
    let part = graph.node("Mul", &[&way, weight], &format!("{output}_part"), &[]);
    graph.node("Add", &[&part, b], output, &[])
}

/// The coefficients of the spline through the pixels: the symmetric exponential of [`POLE`], rows, then columns, mirrored
/// at the border.
fn write_prefilter(graph: &mut GraphWriter, size: Size, source: &str) -> String {
    let planes = graph.integers("planes", &[4, 1, size.height as i64, size.width as i64]);
    let mut current = graph.node("Reshape", &[source, &planes], "source_planes", &[]);
    for (axis, name, side) in [(3, "rows", size.width), (2, "columns", size.height)] {
        // The border is mirrored without its last pixel, of which there are side - 1.
        let reach = CUT_OFF.min(side - 1);
        let mut pads = [0; 8];
        (pads[axis], pads[4 + axis]) = (reach as i64, reach as i64);
        let pads = graph.integers(&format!("prefilter_pads_{name}"), &pads);
        let mirror = [("mode", Attribute::Text("reflect"))];
        let padded = graph.node("Pad", &[&current, &pads], &format!("prefilter_padded_{name}"), &mirror);
        let gain = -6.0 * POLE / (1.0 - POLE * POLE);
        let response = (0..=2 * reach).map(|tap| gain * POLE.powi(tap.abs_diff(reach) as i32));
        let mut shape = [1, 1, 1, 1];
        shape[axis] = 2 * reach + 1;
        let kernel = graph.constant(&format!("prefilter_{name}"), &shape, &response.collect::<Vec<f32>>());
        current = graph.node("Conv", &[&padded, &kernel], &format!("prefiltered_{name}"), &[]);
    }
    let shape = graph.integers("source_shape", &[1, 4, size.height as i64, size.width as i64]);
    graph.node("Reshape", &[&current, &shape], "coefficients", &[])
}

/// The pole's eleventh power is below 1e-6.
const CUT_OFF: usize = 11;

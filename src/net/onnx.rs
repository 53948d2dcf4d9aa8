//! A writer of ONNX models: just the messages of `onnx.proto` that a graph of ours needs, in protobuf's wire format.
//!
//! Graphs in bytes, rather than made through ONNX Runtime's editor API, can hold Rust operators and can be saved and
//! looked at in Netron.

/// Element type of every float tensor (`TensorProto.FLOAT`).
const FLOAT: i64 = 1;
/// Element type of shapes and indices (`TensorProto.INT64`).
const INT64: i64 = 7;
/// Element type of half precision (`TensorProto.FLOAT16`).
const FLOAT16: i64 = 10;
/// The newest operator set that ONNX Runtime's NCHWc layout transformer knows in full.
const OPSET: i64 = 17;

/// An attribute of a node.
#[derive(Clone, Debug)]
pub enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

/// An ONNX graph under construction, already in wire format.
#[derive(Default)]
pub struct GraphWriter {
    nodes: Vec<u8>,
    initializers: Vec<u8>,
    inputs: Vec<u8>,
    outputs: Vec<u8>,
    count: usize,
    domains: Vec<&'static str>,
}

impl GraphWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a float input of a fixed shape.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        message(&mut self.inputs, 11, &value_info(name, shape));
        name.to_owned()
    }

    /// Declares a value as a float output of a fixed shape.
    pub fn output(&mut self, name: &str, shape: &[usize]) {
        message(&mut self.outputs, 12, &value_info(name, shape));
    }

    /// A constant float tensor.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "constant {name}");
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, FLOAT, shape.iter().map(|&side| side as i64), &raw);
        name.to_owned()
    }

    /// A constant tensor in half precision: the nearest to each value.
    pub fn constant_half(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "constant {name}");
        let raw: Vec<u8> = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
        self.tensor(name, FLOAT16, shape.iter().map(|&side| side as i64), &raw);
        name.to_owned()
    }

    /// The value in half precision.
    pub fn to_half(&mut self, input: &str, output: &str) -> String {
        self.node("Cast", &[input], output, &[("to", Attribute::Int(FLOAT16))])
    }

    /// The value in single precision.
    pub fn to_single(&mut self, input: &str, output: &str) -> String {
        self.node("Cast", &[input], output, &[("to", Attribute::Int(FLOAT))])
    }

    /// A constant list of integers.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, INT64, [values.len() as i64], &raw);
        name.to_owned()
    }

    fn tensor(&mut self, name: &str, element: i64, shape: impl IntoIterator<Item = i64>, raw: &[u8]) {
        let mut tensor = Vec::with_capacity(raw.len() + 64);
        for side in shape {
            integer(&mut tensor, 1, side);
        }
        integer(&mut tensor, 2, element);
        message(&mut tensor, 8, name.as_bytes());
        message(&mut tensor, 9, raw);
        message(&mut self.initializers, 5, &tensor);
    }

    /// A node of the standard domain with one output, whose name is returned.
    pub fn node(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) -> String {
        self.node_in("", op, inputs, &[output], attributes);
        output.to_owned()
    }

    /// A node of any domain with any number of outputs.
    pub fn node_in(
        &mut self,
        domain: &'static str,
        op: &'static str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let mut node = Vec::new();
        for input in inputs {
            message(&mut node, 1, input.as_bytes());
        }
        for output in outputs {
            message(&mut node, 2, output.as_bytes());
        }
        self.count += 1;
        message(&mut node, 3, format!("{op}_{}", self.count).as_bytes());
        message(&mut node, 4, op.as_bytes());
        for (name, value) in attributes {
            message(&mut node, 5, &attribute(name, value));
        }
        message(&mut node, 7, domain.as_bytes());
        message(&mut self.nodes, 1, &node);
        if !domain.is_empty() && !self.domains.contains(&domain) {
            self.domains.push(domain);
        }
    }

    /// The finished `ModelProto`.
    pub fn finish(self) -> Vec<u8> {
        let mut graph = self.nodes;
        message(&mut graph, 2, b"stylize");
        graph.extend(self.initializers);
        graph.extend(self.inputs);
        graph.extend(self.outputs);

        let mut model = Vec::with_capacity(graph.len() + 64);
        integer(&mut model, 1, 8); // IR version 8 goes with opset 17.
        message(&mut model, 7, &graph);
        for domain in std::iter::once("").chain(self.domains) {
            let mut opset = Vec::new();
            message(&mut opset, 1, domain.as_bytes());
            integer(&mut opset, 2, if domain.is_empty() { OPSET } else { 1 });
            message(&mut model, 8, &opset);
        }
        model
    }
}

fn attribute(name: &str, value: &Attribute) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, name.as_bytes());
    match value {
        Attribute::Float(value) => {
            varint(&mut out, 2 << 3 | 5);
            out.extend(value.to_le_bytes());
            integer(&mut out, 20, 1);
        }
        Attribute::Int(value) => {
            integer(&mut out, 3, *value);
            integer(&mut out, 20, 2);
        }
        Attribute::Text(value) => {
            message(&mut out, 4, value.as_bytes());
            integer(&mut out, 20, 3);
        }
        Attribute::Ints(values) => {
            for value in values {
                integer(&mut out, 8, *value);
            }
            integer(&mut out, 20, 7);
        }
    }
    out
}

fn value_info(name: &str, shape: &[usize]) -> Vec<u8> {
    let mut dimensions = Vec::new();
    for &side in shape {
        let mut dimension = Vec::new();
        integer(&mut dimension, 1, side as i64);
        message(&mut dimensions, 1, &dimension);
    }
    let mut tensor = Vec::new();
    integer(&mut tensor, 1, FLOAT);
    message(&mut tensor, 2, &dimensions);
    let mut kind = Vec::new();
    message(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    message(&mut info, 1, name.as_bytes());
    message(&mut info, 2, &kind);
    info
}

/// Base-128 integer, least significant group first.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length-delimited field: text, bytes or a message.
fn message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// An integer field.
fn integer(out: &mut Vec<u8>, field: u64, value: i64) {
    varint(out, field << 3);
    varint(out, value as u64);
}

//! One step as one graph of ONNX's own operators: the same inputs and outputs as [`super::step`], in the usual layout, on
//! any device. On a GPU nothing but the picture and its gradient crosses the bus; [`super::iteration`] spares these too.

use super::{
    graph::{GRADIENT, Mask, PICTURE, Storage},
    objective::{Coefficients, write_objective},
    onnx::{Attribute, GraphWriter},
    step::{CONTENT_FACTORS, CONTENT_VALUE, StyleNames},
    vgg::Vgg,
};
use crate::frame::Size;

/// Picture, targets and factors in; the gradient of the picture and the value of each term out.
pub fn step(vgg: &Vgg, size: Size, mask: Mask) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    graph.input(PICTURE, &[1, 3, size.height, size.width]);
    graph.integers("one", &[1]);
    let names: Vec<StyleNames> = (0..vgg.taps.len()).map(StyleNames::new).collect();
    let style: Vec<Factors> = names.iter().map(|names| write_factors(&mut graph, &names.factors)).collect();
    let content = write_factors(&mut graph, CONTENT_FACTORS);
    let coefficients = Coefficients {
        style: style.iter().map(|factors| factors.coefficient.clone()).collect(),
        content: content.coefficient.clone(),
    };
    let how = (Storage::Single, mask);
    let written = write_objective(&mut graph, vgg, size, PICTURE, how, &coefficients);
    for ((names, sum), factors) in names.iter().zip(&written.style).zip(&style) {
        write_value(&mut graph, sum, &factors.scale, &names.value);
    }
    write_value(&mut graph, &written.content, &content.scale, CONTENT_VALUE);
    graph.output(GRADIENT, &[1, 3, size.height, size.width]);
    graph.finish()
}

/// A term's scale, and its product with the weight; one element each.
struct Factors {
    scale: String,
    coefficient: String,
}

fn write_factors(graph: &mut GraphWriter, factors: &str) -> Factors {
    graph.input(factors, &[2]);
    let (scale, weight) = (format!("scale_of_{factors}"), format!("weight_of_{factors}"));
    graph.node_in("", "Split", &[factors], &[&scale, &weight], &[("axis", Attribute::Int(0))]);
    let coefficient = graph.node("Mul", &[&scale, &weight], &format!("both_{factors}"), &[]);
    Factors { scale, coefficient }
}

/// `output = scale * sum`, one element.
fn write_value(graph: &mut GraphWriter, sum: &str, scale: &str, output: &str) {
    let sum = graph.node("Reshape", &[sum, "one"], &format!("one_{output}"), &[]);
    graph.node("Mul", &[&sum, scale], output, &[]);
    graph.output(output, &[1]);
}

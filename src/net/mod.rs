//! The network: a [`vgg`] as data, read from [`weights`] files, written as ONNX graphs by [`graph`] and run by
//! [`session`]; [`features`] are what it sees in a picture. [`ops`] are kernels of our own, which [`operators`] brings into
//! ONNX Runtime, [`prepared`] for a network, and of which [`step`] makes one graph of a whole step; [`step_standard`] does
//! so with ONNX's own operators, of the parts [`graph`] and `objective`; [`iteration`] and [`carry`] are the graphs of steps and
//! motion that stay on a device, with what [`bound`] holds there. [`providers`] and [`onnx`] know ONNX Runtime's devices and file format.
//! [`inspect`] lets those who tune look inside.

pub mod bound;
pub mod carry;
pub mod features;
pub mod graph;
pub mod inspect;
pub mod iteration;
mod objective;
pub mod onnx;
pub mod operators;
pub mod ops;
pub mod prepared;
pub mod providers;
pub mod session;
pub mod step;
pub mod step_standard;
pub mod vgg;
pub mod weights;

//! stylize: a video or a webcam in the style of a picture, with no training.
//!
//! Every frame is the solution of Gatys' optimization problem (Gatys, Ecker & Bethge 2016, "Image Style Transfer Using
//! Convolutional Neural Networks"): the image whose VGG features match the frame (content cost) and whose Gram matrices
//! match the painting (style cost),
//!
//! `J(x) = alpha J_content(x, frame) + beta J_style(x, painting)`,
//!
//! found by gradient descent on the pixels, each frame starting from the last one's result.
//!
//! # The house
//!
//! Data flows one way, on named threads over bounded links ([`pipeline`]):
//!
//! ```text
//! source -> motion -> stylizer [ warm start ; net -> cost -> optimizer ] -> post -> sink
//! ```
//!
//! (What is seen of a frame does not depend on what is painted: in a file motion is looked for a frame ahead. Live, where a frame ahead would
//! be a frame late, the stylizer looks for it itself.)
//!
//! - [`source`]: video files, pictures, sequences, webcams. A [`frame::Frame`] is RGB8 with a presentation time.
//! - [`stylizer`]: the algorithm, readable top to bottom. [`passes`]: over a whole video, forward and backward.
//! - [`motion`]: optical flow, how far it can be believed, what holds still, where a scene ends.
//! - [`warm_start`]: paint on its way from one frame to the next, and how fast it may change there.
//! - [`net`]: the VGG as data, and its forward and backward pass as ONNX graphs that are written at run time.
//! - [`cost`]: content, style, total variation and the temporal cost, value and gradient side by side; never sees ONNX Runtime.
//! - [`engine`]: the objective, value and gradient at a picture, from `net` and `cost`.
//! - [`optim`]: Adam and L-BFGS; they know nothing of images.
//! - [`post`]: the small painted picture brought to full size.
//! - [`sink`]: video files with the input's sound, pictures, a window, a virtual camera.
//! - [`score`]: how good a stylized video is, measured against its content video.
//! - [`tensor`]: converts between RGB8 rows and planes, and resamples pictures. (Luma for motion is made and reduced in
//!   [`motion`], a decoder's own formats are converted in [`source`].)
//! - [`reads`]: the files that a run reads, which nothing may replace.
//! - [`settings`], [`embedded`] networks and style, [`cli`]: what the programs share of their command lines; [`machine`]: what it has;
//!   [`threads`]: work shared among its cores.
//!
//! Tensors are (n, c, h, w) or (c, h, w), RGB, 0..1.

mod aligned;
pub mod cli;
pub mod colour;
pub mod cost;
mod dispatch;
pub mod embedded;
pub mod engine;
pub mod error;
#[cfg(feature = "video")]
pub mod ffmpeg;
pub mod frame;
pub mod machine;
pub mod motion;
pub mod net;
pub mod optim;
pub mod passes;
pub mod pipeline;
pub mod post;
pub mod progress;
pub mod reads;
pub mod score;
pub mod settings;
pub mod sink;
pub mod source;
pub mod stylizer;
pub mod tensor;
pub mod threads;
pub mod warm_start;

pub use error::{Error, Result};

//! The objective `J = alpha J_content + beta J_style + tau TV`, value and gradient at a picture.
//!
//! Three engines for one objective, tested against each other: [`host`] runs a forward and a backward graph and computes
//! the costs between them in Rust, readable as the paper; [`fused`] runs a whole evaluation as one graph; [`resident`] takes
//! whole steps, the optimizer's part too, without leaving the device. [`reduced`] evaluates one of them on half of the picture.
//! [`Engines`] chooses.

mod choice;
pub mod fused;
pub mod host;
pub mod reduced;
pub mod resident;
pub mod trial;

pub use crate::cost::Units;
pub use choice::{Choice, Engines};

use ndarray::{ArrayView3, ArrayViewMut3};

use crate::{
    cost::{style::StyleTarget, tv::Variation},
    error::Result,
};

/// The weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// alpha, of the content cost.
    pub content: f64,
    /// beta, of the style cost.
    pub style: f64,
    /// tau, of the total variation.
    pub tv: Variation,
}

/// The value of every term at a picture, unweighted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// J
    pub total: f64,
    /// J_content
    pub content: f64,
    /// `J_style^l` at each tap, without lambda.
    pub style_layers: Vec<f64>,
    /// `J_style = sum_l lambda_l J_style^l`
    pub style: f64,
    /// TV
    pub tv: Variation,
}

impl Losses {
    /// Sums the terms up, `J = alpha J_content + beta J_style + tau TV`.
    fn weigh(&mut self, weights: Weights) {
        self.total = weights.content * self.content + weights.style * self.style + self.tv.weighted(weights.tv);
    }
}

impl std::fmt::Display for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "J {:.3} (content {:.3}, style {:.4})", self.total, self.content, self.style)
    }
}

/// Value and gradient at a picture of a fixed size.
pub trait Objective {
    /// The weights that the next evaluations use.
    fn set_weights(&mut self, weights: Weights);

    /// The painting's Grams, one for each tap of the network, in its order.
    fn set_style(&mut self, targets: Vec<StyleTarget>);

    /// The frame whose features the content cost compares with: RGB, 0..1, (3, H, W).
    fn set_content(&mut self, frame: ArrayView3<f32>) -> Result<()>;

    /// Every term at `picture` (RGB, 0..1, (3, H, W)), and the gradient of J written to `gradient`, alike in shape.
    fn evaluate(&mut self, picture: ArrayView3<f32>, gradient: ArrayViewMut3<f32>) -> Result<&Losses>;
}

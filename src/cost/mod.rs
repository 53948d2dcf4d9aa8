//! The costs, value and gradient side by side, in plain `ndarray`: nothing here knows of networks or pictures.
//!
//! Feature maps are matrices `F` of shape (C, H W): a row for each channel, a column for each position.

pub mod content;
pub mod style;
pub mod temporal;
pub mod tv;

/// In which units the costs are measured, and so what the weights mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Each cost relative to its target's energy: the same meaning at any resolution and with any network.
    Relative,
    /// The constants of Andrew Ng's course, `1/(4 H W C)` and `1/(4 C^2 (H W)^2)`, with features of a picture in 0..255.
    Course,
}

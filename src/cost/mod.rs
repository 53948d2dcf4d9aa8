//! The costs, value and gradient side by side, in plain `ndarray`: nothing here knows of networks or pictures.
//!
//! Feature maps are matrices `F` of shape (C, H W): a row for each channel, a column for each position.

pub mod content;
pub mod style;
pub mod temporal;
pub mod tv;

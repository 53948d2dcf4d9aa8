//! The networks and the style inside the binary: two arguments are enough to run.

use std::{io::Cursor, path::Path};

use crate::{
    error::Result,
    frame::Frame,
    net::{vgg::Vgg, weights},
    source::picture,
};

/// Names of the networks inside the binary.
pub const NETWORKS: [&str; 3] = ["tiny", "compact", "plus"];

/// A network inside the binary; None if there is none of that name.
pub fn network(name: &str) -> Option<Result<Vgg>> {
    let bytes: &[u8] = match name {
        "tiny" => include_bytes!("../models/tiny.safetensors"),
        "compact" => include_bytes!("../models/compact.safetensors"),
        "plus" => include_bytes!("../models/plus.safetensors"),
        _ => return None,
    };
    Some(weights::parse(bytes, name))
}

/// The built-in style picture.
pub fn style() -> Result<Frame> {
    let picture = Cursor::new(include_bytes!("../samples/night.jpg"));
    picture::decode(picture, Path::new("the built-in style"))
}

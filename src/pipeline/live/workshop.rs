//! Builds what takes long beside the painting: canvases of another size, the Grams of another style.

use std::sync::Arc;

use crate::{
    engine::{self, Engines},
    error::Result,
    frame::{Frame, Size},
    net::{session::Runtime, vgg::Vgg},
    pipeline::link::{Receiver, Sender},
    settings::Settings,
    stylizer::{Painting, Style, Stylizer},
};

/// A style that can be chosen.
pub struct Choice {
    pub name: String,
    pub picture: Frame,
}

/// Something to be built.
pub(super) enum Order {
    /// A stylizer for frames of this size in this style.
    Canvas { size: Size, style: usize, settings: Box<Settings> },
    /// A style for frames of this size.
    Style { size: Size, style: usize },
}

/// Something that was built, with what was ordered.
pub(super) enum Made {
    Canvas { size: Size, style: usize, stylizer: Box<Stylizer> },
    Style { size: Size, style: usize, measured: Style },
}

/// The means to build. Clones share them.
#[derive(Clone)]
pub(super) struct Workshop {
    runtime: Runtime,
    network: Arc<Vgg>,
    styles: Arc<[Choice]>,
    engines: Arc<Engines>,
}

impl Workshop {
    pub fn new(runtime: Runtime, network: Arc<Vgg>, styles: Vec<Choice>) -> Self {
        let engines = Arc::new(Engines::new(runtime.clone(), Arc::clone(&network), engine::Choice::Auto));
        Workshop { runtime, network, styles: styles.into(), engines }
    }

    /// A stylizer that has everything it needs for frames of this size.
    pub fn canvas(&self, size: Size, style: usize, settings: Settings) -> Result<Stylizer> {
        let (engines, runtime, network) = (Arc::clone(&self.engines), self.runtime.clone(), Arc::clone(&self.network));
        let paintings = paintings(&self.styles, style);
        let mut stylizer = Stylizer::with_engines(engines, runtime, network, paintings, settings)?;
        stylizer.prepare(size)?;
        Ok(stylizer)
    }

    /// Serves orders until nobody orders any more.
    pub fn run(self, orders: Receiver<Order>, made: Sender<Made>) -> Result<()> {
        while let Some(order) = orders.receive() {
            let item = match order {
                Order::Canvas { size, style, settings } => {
                    let stylizer = Box::new(self.canvas(size, style, *settings)?);
                    Made::Canvas { size, style, stylizer }
                }
                Order::Style { size, style } => {
                    let measured = Style::measure(&self.runtime, &self.network, &paintings(&self.styles, style), size)?;
                    Made::Style { size, style, measured }
                }
            };
            if made.send(item).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn paintings(styles: &[Choice], style: usize) -> Vec<Painting> {
    let picture = &styles[style].picture;
    let picture = Frame::new(picture.size(), picture.pixels().to_vec(), 0);
    vec![Painting { picture, weight: 1.0 }]
}

//! The painting stage: the newest frame at the working size, a few steps, and the result to the composer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::Array3;

use super::{
    Shot,
    controller::Controller,
    ladder::Rung,
    next,
    panel::{Controls, Panel},
    workshop::{Made, Order, Workshop},
};
use crate::{
    error::Result,
    frame::{Frame, FramePool, Size},
    pipeline::link::{Newest, Receiver, Sender},
    settings::Settings,
    stylizer::{Style, Stylizer},
    tensor::{self, Filter, Resampler},
};

/// A painted frame at the working size.
pub(super) struct Painted {
    /// The frame as it was optimized, RGB8.
    pub content: Frame,
    /// The painted picture, alike.
    pub picture: Frame,
    /// When the frame was captured.
    pub at: Instant,
}

/// A first picture is cut short after this time, however few steps that are: it improves with every frame that follows.
const FIRST_PICTURE: Duration = Duration::from_secs(1);
/// A style change blends over in this time.
const BLEND: Duration = Duration::from_millis(800);

pub(super) struct Paint {
    pub panel: Arc<Panel>,
    pub workshop: Workshop,
    pub settings: Settings,
    pub inbox: Receiver<Arc<Shot>>,
    pub out: Newest<Painted>,
    pub orders: Sender<Order>,
    pub made: Receiver<Made>,
}

/// What the stage has at hand between frames.
struct Easel {
    stylizer: Stylizer,
    size: Size,
    /// The style that is painted, or blended to.
    style: usize,
    blend: Option<Blend>,
    controls: Controls,
    controller: Controller,
    /// Something is being built.
    waiting: bool,
    content: Array3<f32>,
}

/// A change of style under way.
struct Blend {
    from: Style,
    to: Style,
    began: Instant,
}

impl Paint {
    pub fn run(self) -> Result<()> {
        let (mut resampler, pool) = (Resampler::new(), FramePool::new());
        let mut easel: Option<Easel> = None;
        let mut skipped = 0;
        while let Some(shot) = next(&self.inbox, &self.panel) {
            let missed = self.inbox.replaced_since(&mut skipped);
            self.panel.meter.drop_count(|drops| drops.paint += missed);
            let controls = self.panel.controls();
            if controls.paused {
                continue;
            }
            let full = shot.frame.size();
            let easel = match &mut easel {
                Some(easel) => easel,
                none => none.insert(self.set_up(full, &controls)?),
            };
            self.follow(easel, controls, full)?;
            let began = Instant::now();
            let mut content = pool.frame(easel.size, 0);
            let mut picture = pool.frame(easel.size, 0);
            resampler.resample(shot.frame.pixels(), full, content.pixels_mut(), easel.size, Filter::Area);
            tensor::from_rgb8(content.pixels(), &mut easel.content);
            let painted = easel.stylizer.paint(easel.content.view())?;
            painted.to_rgb8(picture.pixels_mut());
            let (steps, planned, first) = (painted.steps, easel.controller.rung().steps, painted.cut);
            let took = began.elapsed();
            self.panel.meter.painted(easel.size, steps, planned, took);
            self.out.put(Painted { content, picture, at: shot.at });
            if !first && !easel.waiting && easel.blend.is_none() {
                let largest = full.width.max(full.height);
                easel.controller.frame(Instant::now(), steps, took, shot.period, largest);
            }
        }
        Ok(())
    }

    fn set_up(&self, full: Size, controls: &Controls) -> Result<Easel> {
        let mut controller = Controller::new(Rung {
            size: self.settings.size,
            steps: self.settings.steps,
            every: self.settings.step_every,
        });
        let rung = controller.fix(controls.size, controls.steps, controls.step_every);
        let size = full.fit_longer(rung.size);
        let settings = self.settings_now(controls, rung);
        let mut stylizer = self.workshop.canvas(size, controls.style, settings)?;
        self.watch(&mut stylizer);
        let content = tensor::zeros(size);
        let controls = controls.clone();
        Ok(Easel { stylizer, size, style: controls.style, blend: None, controls, controller, waiting: false, content })
    }

    /// Ends a first picture that takes too long, or that nobody will see.
    fn watch(&self, stylizer: &mut Stylizer) {
        let (panel, mut began) = (Arc::clone(&self.panel), Instant::now());
        stylizer.watch(Box::new(move |step, _, _| {
            if step == 1 {
                began = Instant::now();
            }
            !panel.is_stopping() && began.elapsed() < FIRST_PICTURE
        }));
    }

    fn settings_now(&self, controls: &Controls, rung: Rung) -> Settings {
        let Rung { size, steps, every: step_every } = rung;
        Settings { balance: controls.balance, size, steps, step_every, ..self.settings.clone() }
    }

    /// Brings the easel to what is wanted: at once where that is cheap, otherwise by ordering it and taking what is ready.
    fn follow(&self, easel: &mut Easel, controls: Controls, full: Size) -> Result<()> {
        self.take_delivery(easel, full)?;
        let rung = easel.controller.fix(controls.size, controls.steps, controls.step_every);
        easel.stylizer.set_steps(rung.steps, rung.every);
        if controls.balance != easel.stylizer.balance() {
            easel.stylizer.set_balance(controls.balance);
        }
        if controls.restarts != easel.controls.restarts {
            easel.stylizer.restart();
        }
        easel.step_blend()?;
        let wanted = full.fit_longer(rung.size);
        if !same_shape(wanted, easel.size) {
            // Another camera mode: nothing of the old picture fits.
            *easel = Easel { waiting: easel.waiting, ..self.set_up(full, &controls)? };
            return Ok(());
        }
        if !easel.waiting && easel.blend.is_none() {
            let order = if wanted != easel.size {
                let settings = self.settings_now(&controls, rung);
                Some(Order::Canvas { size: wanted, style: controls.style, settings: Box::new(settings) })
            } else if controls.style != easel.style {
                Some(Order::Style { size: easel.size, style: controls.style })
            } else {
                None
            };
            if let Some(order) = order {
                // If the workshop has failed, its error ends the run; painting goes on until then.
                easel.waiting = self.orders.send(order).is_ok();
            }
        }
        easel.controls = controls;
        Ok(())
    }

    /// Takes what was ordered for frames of the shape that there is, `full`.
    fn take_delivery(&self, easel: &mut Easel, full: Size) -> Result<()> {
        let Ok(Some(made)) = self.made.try_receive() else { return Ok(()) };
        easel.waiting = false;
        match made {
            Made::Canvas { size, style, mut stylizer } if same_shape(size, full) => {
                stylizer.take_over(&easel.stylizer)?;
                self.watch(&mut stylizer);
                easel.stylizer = *stylizer;
                (easel.size, easel.style, easel.content) = (size, style, tensor::zeros(size));
            }
            Made::Style { size, style, measured } if size == easel.size => {
                easel.style = style;
                let from = easel.stylizer.style().clone();
                easel.blend = Some(Blend { from, to: measured, began: Instant::now() });
            }
            // Ordered for a size or a camera mode that has gone since.
            Made::Canvas { .. } | Made::Style { .. } => {}
        }
        Ok(())
    }
}

impl Easel {
    fn step_blend(&mut self) -> Result<()> {
        let Some(blend) = &self.blend else { return Ok(()) };
        let t = blend.began.elapsed().as_secs_f32() / BLEND.as_secs_f32();
        if t < 1.0 {
            self.stylizer.set_style(blend.from.toward(&blend.to, t))?;
        } else if let Some(blend) = self.blend.take() {
            self.stylizer.set_style(blend.to)?;
        }
        Ok(())
    }
}

/// Whether two sizes are one picture at two scales.
fn same_shape(a: Size, b: Size) -> bool {
    let (left, right) = ((a.width * b.height) as f64, (b.width * a.height) as f64);
    (left - right).abs() <= 0.03 * left.max(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shape_at_two_scales() {
        assert!(same_shape(Size::new(320, 180), Size::new(256, 144)));
        assert!(same_shape(Size::new(224, 126), Size::new(160, 90)));
        assert!(!same_shape(Size::new(320, 180), Size::new(320, 240)));
    }
}

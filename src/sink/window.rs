//! A window (minifb) that shows frames, scaled to fit, with text over them, and tells which keys were pressed. Belongs to
//! the main thread.

use std::{cell::RefCell, mem, rc::Rc};

use minifb::{InputCallback, ScaleMode, WindowOptions};

use super::text::{self, Corner};
use crate::{
    error::{Error, Result},
    frame::{Frame, Size},
};

/// A larger frame opens a window of this size; it can be enlarged.
const LARGEST: usize = 1280;

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// What it types, in the user's keyboard layout.
    Character(char),
    Escape,
    Left,
    Right,
    Up,
    Down,
    PageUp,
    PageDown,
}

pub struct Window {
    window: minifb::Window,
    /// The frame, 0RGB, as minifb takes it.
    frame: Vec<u32>,
    /// The frame with text on it.
    drawn: Vec<u32>,
    size: Size,
    overlays: Vec<(Corner, Vec<String>)>,
    /// Something has changed since it was drawn.
    stale: bool,
    keys: Rc<RefCell<Vec<Key>>>,
}

impl Window {
    /// # Errors
    /// [`Error::Window`] where there is no display.
    pub fn open(title: &str, frame: Size) -> Result<Self> {
        let size = frame.fit_longer(LARGEST);
        let options =
            WindowOptions { resize: true, scale_mode: ScaleMode::AspectRatioStretch, ..WindowOptions::default() };
        let mut window = minifb::Window::new(title, size.width, size.height, options).map_err(|error| {
            Error::Window { reason: format!("{error}; is there a display (DISPLAY or WAYLAND_DISPLAY)?") }
        })?;
        // Frames set the pace, not the window.
        window.set_target_fps(0);
        let keys = Rc::new(RefCell::new(Vec::new()));
        // Polling loses keys that are pressed and released between two looks.
        window.set_input_callback(Box::new(Keyboard { keys: Rc::clone(&keys) }));
        let frame = vec![0; size.area()];
        Ok(Window { window, drawn: frame.clone(), frame, size, overlays: Vec::new(), stale: true, keys })
    }

    /// Takes a frame to be shown by the next [`Window::update`].
    pub fn show(&mut self, frame: &Frame) {
        self.size = frame.size();
        self.frame.resize(self.size.area(), 0);
        for (to, rgb) in self.frame.iter_mut().zip(frame.pixels().chunks_exact(3)) {
            *to = u32::from_be_bytes([0, rgb[0], rgb[1], rgb[2]]);
        }
        self.stale = true;
    }

    /// Lays text over all frames from now on, in place of what was there.
    pub fn overlay(&mut self, overlays: Vec<(Corner, Vec<String>)>) {
        self.stale |= overlays != self.overlays;
        self.overlays = overlays;
    }

    /// Draws what is new and handles events; false once the user has closed the window.
    pub fn update(&mut self) -> bool {
        if mem::take(&mut self.stale) {
            self.drawn.clone_from(&self.frame);
            for (corner, lines) in &self.overlays {
                text::draw(&mut self.drawn, self.size, *corner, lines);
            }
            if self.window.update_with_buffer(&self.drawn, self.size.width, self.size.height).is_err() {
                return false;
            }
        } else {
            self.window.update();
        }
        self.window.is_open()
    }

    /// The keys that were pressed since the last time, in order.
    pub fn keys(&mut self) -> Vec<Key> {
        mem::take(&mut self.keys.borrow_mut())
    }
}

struct Keyboard {
    keys: Rc<RefCell<Vec<Key>>>,
}

impl InputCallback for Keyboard {
    fn add_char(&mut self, code: u32) {
        if let Some(character) = char::from_u32(code).filter(|character| !character.is_control()) {
            self.keys.borrow_mut().push(Key::Character(character));
        }
    }

    fn set_key_state(&mut self, key: minifb::Key, down: bool) {
        let key = match key {
            _ if !down => return,
            minifb::Key::Escape => Key::Escape,
            minifb::Key::Left => Key::Left,
            minifb::Key::Right => Key::Right,
            minifb::Key::Up => Key::Up,
            minifb::Key::Down => Key::Down,
            minifb::Key::PageUp => Key::PageUp,
            minifb::Key::PageDown => Key::PageDown,
            // What types something comes as a character.
            _ => return,
        };
        self.keys.borrow_mut().push(key);
    }
}

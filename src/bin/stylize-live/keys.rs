//! What the keys do.

use stylize::{
    pipeline::live::{Controls, Panel},
    settings::Balance,
    sink::window::Key,
};

/// Strength per key press, of 1.
const STRENGTH: f64 = 0.05;
/// The course's weights have no upper end: a factor per key press, as large as a step of strength.
const FACTOR: f64 = 1.585;
const SIZES: [usize; 15] = [96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 640, 768, 960, 1280];
const MOST_STEPS: usize = 50;

/// Keys and what they do, for the help: so short that it can be read in a window 640 pixels wide.
const KEYS: [(&str, &str); 15] = [
    ("n p", "next, last style (or arrows)"),
    ("+ -", "stronger, weaker (or arrows)"),
    (". ,", "paint larger, smaller (PgUp)"),
    ("] [", "more, fewer steps a frame"),
    ("a", "size and steps by itself"),
    ("c", "keep the original colours"),
    ("v", "view: painted, both, original"),
    ("m", "mirror"),
    ("space", "pause"),
    ("s", "snapshot (PNG)"),
    ("r", "record on, off"),
    ("x", "start the picture anew"),
    ("i", "statistics"),
    ("h ?", "this help"),
    ("q Esc", "quit"),
];

/// The help in lines.
pub fn lines() -> Vec<String> {
    KEYS.iter().map(|(keys, what)| format!("{keys:<5} {what}")).collect()
}

/// The help for the command line.
pub fn help() -> String {
    let lines: Vec<String> = lines().iter().map(|line| format!("  {line}")).collect();
    format!("Keys in the window:\n{}", lines.join("\n"))
}

/// What a key asks of the window itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Help,
    Statistics,
    Quit,
}

/// Does what a key asks of the pipeline, or returns what it asks of the window.
pub fn press(key: Key, panel: &Panel, styles: &[String]) -> Option<Own> {
    let letter = match key {
        Key::Character(character) => character.to_ascii_lowercase(),
        Key::Right => 'n',
        Key::Left => 'p',
        Key::Up => '+',
        Key::Down => '-',
        Key::PageUp => '.',
        Key::PageDown => ',',
        Key::Escape => 'q',
    };
    match letter {
        'h' | '?' => return Some(Own::Help),
        'i' => return Some(Own::Statistics),
        'q' => return Some(Own::Quit),
        _ => {}
    }
    let (size, steps) = panel.meter.work().map_or((256, 1), |(size, steps)| (size.width.max(size.height), steps));
    panel.change(|controls| change(letter, controls, styles.len(), size, steps));
    if let Some(notice) = describe(letter, &panel.controls(), styles) {
        panel.notify(notice);
    }
    None
}

/// `size` and `steps` are what is painted now; what was asked for before may still be on its way.
fn change(letter: char, controls: &mut Controls, styles: usize, size: usize, steps: usize) {
    let (size, steps) = (controls.size.unwrap_or(size), controls.steps.unwrap_or(steps));
    match letter {
        'n' => controls.style = (controls.style + 1) % styles,
        'p' => controls.style = (controls.style + styles - 1) % styles,
        '+' | '=' => controls.balance = stronger(controls.balance, 1.0),
        '-' | '_' => controls.balance = stronger(controls.balance, -1.0),
        '.' | '>' => controls.size = SIZES.into_iter().find(|&other| other > size).or(Some(size)),
        ',' | '<' => controls.size = SIZES.into_iter().rfind(|&other| other < size).or(Some(size)),
        ']' => controls.steps = Some((steps + 1).min(MOST_STEPS)),
        '[' => controls.steps = Some(steps.saturating_sub(1).max(1)),
        'a' => (controls.size, controls.steps) = (None, None),
        'c' => controls.keep_colours = !controls.keep_colours,
        'v' => controls.view = controls.view.next(),
        'm' => controls.mirror = !controls.mirror,
        ' ' => controls.paused = !controls.paused,
        's' => controls.snapshots += 1,
        'r' => controls.recording = !controls.recording,
        'x' => controls.restarts += 1,
        _ => {}
    }
}

fn stronger(balance: Balance, direction: f64) -> Balance {
    match balance {
        // Rounded, so that ten steps up and ten down meet again.
        Balance::Strength(strength) => {
            let strength = (100.0 * (strength + direction * STRENGTH)).round() / 100.0;
            Balance::Strength(strength.clamp(0.0, 1.0))
        }
        Balance::Course { content, style } => {
            Balance::Course { content, style: (style * FACTOR.powf(direction)).min(Balance::MOST) }
        }
    }
}

/// What has changed, for the window.
fn describe(letter: char, controls: &Controls, styles: &[String]) -> Option<String> {
    Some(match letter {
        'n' | 'p' => format!("style {}", styles[controls.style]),
        '+' | '=' | '-' | '_' => balance(controls.balance),
        '.' | '>' | ',' | '<' => format!("painting {} pixels", controls.size?),
        '[' | ']' => format!("{} steps a frame", controls.steps?),
        'a' => "size and steps by itself".to_owned(),
        'c' => (if controls.keep_colours { "original colours" } else { "the painting's colours" }).to_owned(),
        'm' => (if controls.mirror { "mirrored" } else { "not mirrored" }).to_owned(),
        'x' => "started anew".to_owned(),
        _ => return None,
    })
}

/// The balance in a few words.
pub fn balance(balance: Balance) -> String {
    match balance {
        Balance::Strength(strength) => format!("strength {strength:.2}"),
        Balance::Course { content, style } => format!("alpha {content}, beta {style:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use stylize::pipeline::live::View;

    use super::*;

    fn controls() -> Controls {
        Controls::new(Balance::Strength(0.5))
    }

    #[test]
    fn keys_change_what_they_say() {
        let panel = Panel::new(controls());
        let styles: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let press = |keys: &str| {
            keys.chars().for_each(|key| assert_eq!(super::press(Key::Character(key), &panel, &styles), None));
            panel.controls()
        };
        assert_eq!(press("n").style, 1);
        assert_eq!(press("pp").style, 2);
        assert_eq!(press("+++---++").balance, Balance::Strength(0.6));
        assert_eq!(press("------------------------").balance, Balance::Strength(0.0));
        let changed = press(".]cvm rx");
        assert_eq!((changed.size, changed.steps), (Some(288), Some(2)));
        assert!(changed.keep_colours && changed.mirror && changed.paused && changed.recording);
        assert_eq!((changed.view, changed.restarts), (View::SideBySide, 1));
        let changed = press("..]][,");
        assert_eq!((changed.size, changed.steps), (Some(320), Some(3)), "quick presses add up");
        let changed = press("aSs");
        assert_eq!((changed.size, changed.steps, changed.snapshots), (None, None, 2));
        assert_eq!(super::press(Key::Escape, &panel, &styles), Some(Own::Quit));
        assert_eq!(super::press(Key::Character('?'), &panel, &styles), Some(Own::Help));
    }
}

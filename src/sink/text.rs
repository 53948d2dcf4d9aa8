//! Text on a picture, in the public-domain 8x8 bitmap font of the PC.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

use crate::frame::Size;

/// Pixels from one line to the next, at scale 1.
pub const LINE: usize = 10;
/// Pixels from one letter to the next, at scale 1.
pub const LETTER: usize = 8;
/// Around the text, at scale 1.
const MARGIN: usize = 4;

/// Where a block of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corner {
    TopLeft,
    BottomLeft,
    Centre,
}

/// Draws lines of text in white on a darkened box. `pixels` are 0RGB, row by row; what does not fit is cut off.
///
/// # Panics
/// If the pixels do not fit the size.
pub fn draw<S: AsRef<str>>(pixels: &mut [u32], size: Size, corner: Corner, lines: &[S]) {
    assert_eq!(pixels.len(), size.area(), "pixels of {size}");
    let longest = lines.iter().map(|line| line.as_ref().chars().count()).max().unwrap_or(0);
    if longest == 0 || size.area() == 0 {
        return;
    }
    let scale = scale(size, longest, lines.len());
    let width = (longest * LETTER + 2 * MARGIN) * scale;
    let height = (lines.len() * LINE + 2 * MARGIN) * scale;
    let (left, top) = match corner {
        Corner::TopLeft => (0, 0),
        Corner::BottomLeft => (0, size.height.saturating_sub(height)),
        Corner::Centre => (size.width.saturating_sub(width) / 2, size.height.saturating_sub(height) / 2),
    };
    for row in pixels.chunks_exact_mut(size.width).skip(top).take(height) {
        row.iter_mut().skip(left).take(width).for_each(|pixel| *pixel = *pixel >> 2 & 0x3f3f3f);
    }
    for (number, line) in lines.iter().enumerate() {
        let y = top + (MARGIN + number * LINE) * scale;
        for (place, letter) in line.as_ref().chars().enumerate() {
            let x = left + (MARGIN + place * LETTER) * scale;
            draw_letter(pixels, size, (x, y), scale, letter);
        }
    }
}

/// Large enough to read, small enough to fit.
fn scale(size: Size, letters: usize, lines: usize) -> usize {
    let readable = (size.height + 120) / 240;
    let fits = (size.width / (letters * LETTER + 2 * MARGIN)).min(size.height / (lines * LINE + 2 * MARGIN));
    readable.min(fits).max(1)
}

fn draw_letter(pixels: &mut [u32], size: Size, (left, top): (usize, usize), scale: usize, letter: char) {
    let Some(bitmap) = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| BASIC_FONTS.get('?'))
    else {
        return;
    };
    for y in top..(top + 8 * scale).min(size.height) {
        let bits = bitmap[(y - top) / scale];
        for x in left..(left + 8 * scale).min(size.width) {
            if bits >> ((x - left) / scale) & 1 == 1 {
                pixels[y * size.width + x] = 0xff_ffff;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_drawn_in_its_corner_and_nothing_overflows() {
        let size = Size::new(40, 30);
        let mut pixels = vec![0x808080; size.area()];
        draw(&mut pixels, size, Corner::TopLeft, &["I"]);
        let white = |x: usize, y: usize| pixels[y * size.width + x] == 0xff_ffff;
        assert!((4..12).any(|x| (4..12).any(|y| white(x, y))), "the letter is there");
        assert!(!(0..40).any(|x| (20..30).any(|y| white(x, y))), "and nowhere else");
        assert_eq!(pixels[size.area() - 1], 0x808080);
        for size in [Size::new(1, 1), Size::new(7, 3), Size::new(300, 5)] {
            let mut pixels = vec![0; size.area()];
            draw(&mut pixels, size, Corner::Centre, &["many letters", "in some lines"]);
        }
    }
}

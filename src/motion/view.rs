//! Motion as pictures to look at: RGB8, row by row from the top.

use super::FlowField;

/// Share of the picture's longer side that is shown in full colour; further is no stronger. A fixed scale, so that a colour
/// means the same in every frame.
const FULL: f32 = 1.0 / 32.0;

/// A flow as colours: the hue is the direction it points to (right red, down yellow-green, left cyan, up violet), the
/// saturation the distance; white is rest.
///
/// # Panics
/// If `pixels` are not RGB8 of the flow's size.
pub fn flow(field: &FlowField, pixels: &mut [u8]) {
    assert_eq!(pixels.len(), 3 * field.size.area(), "RGB8 of {}", field.size);
    let full = FULL * field.size.width.max(field.size.height) as f32;
    for (pixel, (&u, &v)) in pixels.chunks_exact_mut(3).zip(field.u.iter().zip(&field.v)) {
        let saturation = (u.hypot(v) / full).min(1.0);
        let sector = v.atan2(u).rem_euclid(std::f32::consts::TAU) * (6.0 / std::f32::consts::TAU);
        // How far each primary is from its full value: HSV with a value of 1.
        let lack = |primary: f32| {
            let apart = (sector - primary).abs();
            (apart.min(6.0 - apart) - 1.0).clamp(0.0, 1.0)
        };
        pixel.copy_from_slice(&[0.0, 2.0, 4.0].map(|primary| byte(1.0 - saturation * lack(primary))));
    }
}

/// A plane of values in `[0, 1]` as greys.
///
/// # Panics
/// If `pixels` are not RGB8 of as many pixels.
pub fn plane(values: &[f32], pixels: &mut [u8]) {
    assert_eq!(pixels.len(), 3 * values.len(), "RGB8 of as many pixels");
    for (pixel, value) in pixels.chunks_exact_mut(3).zip(values) {
        pixel.fill(byte(*value));
    }
}

/// `as` saturates.
fn byte(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn directions_have_their_hues_and_rest_is_white() {
        let mut field = FlowField::new(Size::new(64, 1));
        (field.u[0], field.v[1], field.u[2], field.u[3]) = (2.0, 2.0, -1.0, 200.0);
        let mut pixels = vec![0; 3 * 64];
        flow(&field, &mut pixels);
        let at = |x: usize| [pixels[3 * x], pixels[3 * x + 1], pixels[3 * x + 2]];
        assert_eq!(at(0), [255, 0, 0], "right, as far as the scale goes");
        assert_eq!(at(1), [128, 255, 0], "down");
        assert_eq!(at(2), [128, 255, 255], "left, half as far");
        assert_eq!(at(3), [255, 0, 0], "beyond the scale");
        assert_eq!(at(4), [255, 255, 255], "rest");
    }

    #[test]
    fn a_plane_is_grey() {
        let mut pixels = vec![0; 9];
        plane(&[0.0, 0.5, 2.0], &mut pixels);
        assert_eq!(pixels, [0, 0, 0, 128, 128, 128, 255, 255, 255]);
    }
}

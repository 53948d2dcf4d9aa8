//! High dynamic range to the standard range that a painting (and eight bits) can show.
//!
//! The signal becomes light (ITU-R BT.2100: PQ by its EOTF, HLG by its inverse OETF and the OOTF of a 1000-nit display),
//! BT.2020's primaries become BT.709's, a shoulder brings highlights under white, and BT.1886 (gamma 2.4) makes signal
//! of it again. White is 203 nits (BT.2408); brightness up to 1000 nits stays distinguishable, more is white.

use crate::colour::Colour;

/// Nits of diffuse white in HDR programmes (ITU-R BT.2408).
const WHITE: f32 = 203.0;

/// Nits that become full white.
const PEAK: f32 = 1000.0;

/// Below this part of white the picture stays as it is.
const KNEE: f32 = 0.75;

/// BT.2020 to BT.709 in linear light, row by row (ITU-R BT.2087).
const GAMUT: [[f32; 3]; 3] = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]];

/// Light is looked up for the upper 12 bits of a 16-bit signal.
const SIGNAL_BITS: u32 = 12;

/// Steps of light for the way back: at the dark end a step is a tenth of an eight-bit level.
const LIGHT_STEPS: usize = 1 << 14;

/// A prepared conversion of one transfer curve.
pub(super) struct ToneMap {
    /// Signal to light, white = 1; for HLG the scene's light, before the OOTF.
    light: Vec<f32>,
    /// Tone-mapped light to an eight-bit signal.
    signal: Vec<u8>,
    is_hlg: bool,
    wide: bool,
}

impl ToneMap {
    /// For a [high dynamic range](Colour::is_hdr) video.
    pub fn new(colour: Colour) -> Self {
        let is_hlg = colour.transfer == Colour::HLG;
        let steps = 1 << SIGNAL_BITS;
        let curve = if is_hlg { hlg_scene_light } else { |signal| pq_nits(signal) / WHITE };
        let light = (0..steps).map(|step| curve(step as f32 / (steps - 1) as f32)).collect();
        let level = |step| (step as f32 / LIGHT_STEPS as f32).powf(1.0 / 2.4);
        let signal = (0..=LIGHT_STEPS).map(|step| (255.0 * level(step)).round() as u8).collect();
        // Containers that name the transfer and not the primaries mean BT.2020.
        let wide = matches!(colour.primaries, Colour::BT2020 | Colour::UNSPECIFIED | 0);
        ToneMap { light, signal, is_hlg, wide }
    }

    /// Converts a row: 16-bit RGB in native byte order to RGB8.
    pub fn row(&self, deep: &[u8], shallow: &mut [u8]) {
        for (deep, shallow) in deep.chunks_exact(6).zip(shallow.chunks_exact_mut(3)) {
            let light = |channel: usize| {
                let signal = u16::from_ne_bytes([deep[2 * channel], deep[2 * channel + 1]]);
                self.light[usize::from(signal >> (16 - SIGNAL_BITS))]
            };
            let rgb = self.display([light(0), light(1), light(2)]);
            for (shallow, light) in shallow.iter_mut().zip(rgb) {
                // `as` saturates: light beyond white or below black stays there.
                *shallow = self.signal[((light * LIGHT_STEPS as f32 + 0.5) as usize).min(LIGHT_STEPS)];
            }
        }
    }

    /// Light to what a standard display shows, 0..1.
    fn display(&self, mut rgb: [f32; 3]) -> [f32; 3] {
        if self.is_hlg {
            // OOTF: the brighter the scene, the steeper; luminance by BT.2020's weights.
            let luminance = 0.2627 * rgb[0] + 0.6780 * rgb[1] + 0.0593 * rgb[2];
            let gain = PEAK / WHITE * luminance.max(1e-6).powf(0.2);
            rgb = rgb.map(|light| light * gain);
        }
        if self.wide {
            rgb = GAMUT.map(|row| (row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]).max(0.0));
        }
        // The largest channel decides for all three, so that highlights keep their hue.
        let largest = rgb[0].max(rgb[1]).max(rgb[2]);
        if largest > KNEE {
            let gain = shoulder(largest) / largest;
            rgb = rgb.map(|light| light * gain);
        }
        rgb
    }
}

/// Reinhard's extended curve (2002) above the knee: slope 1 there, white at the peak.
fn shoulder(light: f32) -> f32 {
    let above = ((light - KNEE) / (1.0 - KNEE)).max(0.0);
    let peak = (PEAK / WHITE - KNEE) / (1.0 - KNEE);
    let mapped = above * (1.0 + above / (peak * peak)) / (1.0 + above);
    KNEE + (1.0 - KNEE) * mapped.min(1.0)
}

/// SMPTE ST 2084: signal 0..1 to nits 0..10000.
fn pq_nits(signal: f32) -> f32 {
    const M1: f32 = 2610.0 / 16384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let power = signal.max(0.0).powf(1.0 / M2);
    10_000.0 * ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)
}

/// ARIB STD-B67: signal 0..1 to the scene's light 0..1.
fn hlg_scene_light(signal: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 1.0 - 4.0 * A;
    const C: f32 = 0.559_910_7;
    if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(colour: Colour, signal: f32) -> u8 {
        let deep: Vec<u8> = [(signal * 65535.0) as u16; 3].iter().flat_map(|value| value.to_ne_bytes()).collect();
        let mut shallow = [0; 3];
        ToneMap::new(colour).row(&deep, &mut shallow);
        assert!(shallow.iter().max().unwrap() - shallow.iter().min().unwrap() <= 1, "gray stays gray: {shallow:?}");
        shallow[1]
    }

    #[test]
    fn known_points_of_the_curves() {
        // ST 2084 and BT.2100 give these pairs.
        assert!((pq_nits(0.508_078) - 100.0).abs() < 0.1);
        assert!((pq_nits(0.751_827) - 1000.0).abs() < 1.0);
        assert!((pq_nits(1.0) - 10_000.0).abs() < 1.0);
        assert!((hlg_scene_light(0.5) - 1.0 / 12.0).abs() < 1e-6);
        assert!((hlg_scene_light(1.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn black_white_and_what_lies_between() {
        let pq = Colour { matrix: 9, primaries: 9, transfer: Colour::PQ, full_range: false };
        assert_eq!(gray(pq, 0.0), 0);
        assert_eq!(gray(pq, 0.7519), 255, "1000 nits");
        assert_eq!(gray(pq, 1.0), 255);
        // 100 nits are 0.4926 of white: 255 * 0.4926^(1/2.4).
        assert!(gray(pq, 0.508_078).abs_diff(190) <= 1);
        let hlg = Colour { transfer: Colour::HLG, ..pq };
        // BT.2408: HLG's 75 % is the same diffuse white as PQ's 58 %.
        assert!(gray(hlg, 0.75).abs_diff(gray(pq, 0.5807)) <= 3);
        assert_eq!((gray(hlg, 0.0), gray(hlg, 1.0)), (0, 255));
    }
}

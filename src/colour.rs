//! How a video's numbers stand for colours: the four properties of ITU-T H.273 that containers and codecs carry.

use crate::frame::Size;

/// Matrix, primaries and transfer as code points of ITU-T H.273 (2 is "unspecified"), and the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// YCbCr matrix: 1 BT.709, 5 and 6 BT.601, 7 SMPTE 240M, 9 BT.2020; never unspecified.
    pub matrix: u8,
    pub primaries: u8,
    pub transfer: u8,
    /// 0..255 (full, "pc") instead of 16..235 (limited, "tv").
    pub full_range: bool,
}

impl Colour {
    pub const UNSPECIFIED: u8 = 2;
    pub const BT709: u8 = 1;
    pub const BT470BG: u8 = 5;
    pub const SMPTE170M: u8 = 6;
    pub const SMPTE240M: u8 = 7;
    pub const BT2020: u8 = 9;
    /// Transfer of HDR10 (perceptual quantizer, SMPTE ST 2084).
    pub const PQ: u8 = 16;
    /// Transfer of hybrid log-gamma (ARIB STD-B67).
    pub const HLG: u8 = 18;

    /// What players take a picture of this size for when nothing is written in the file: BT.601 up to 576 lines
    /// (standard definition), BT.709 above; limited range.
    pub fn guess(size: Size) -> Self {
        let high_definition = size.width >= 1280 || size.height > 576;
        Colour {
            matrix: if high_definition { Self::BT709 } else { Self::SMPTE170M },
            primaries: Self::UNSPECIFIED,
            transfer: Self::UNSPECIFIED,
            full_range: false,
        }
    }

    /// Of pictures, cameras and screens, in the matrix that players take this size for: sRGB's primaries are BT.709's, and its transfer
    /// is as good as.
    pub fn srgb(size: Size) -> Self {
        Colour { primaries: Self::BT709, transfer: Self::BT709, ..Self::guess(size) }
    }

    /// Plain high-definition video: BT.709 throughout, limited range.
    pub const fn bt709() -> Self {
        Colour { matrix: Self::BT709, primaries: Self::BT709, transfer: Self::BT709, full_range: false }
    }

    /// High dynamic range: brightness beyond white is stored too.
    pub const fn is_hdr(self) -> bool {
        matches!(self.transfer, Self::PQ | Self::HLG)
    }

    /// Whether the matrix is one that can be converted to RGB and back (not YCgCo, ICtCp, constant luminance).
    pub const fn is_known_matrix(matrix: u8) -> bool {
        matches!(matrix, Self::BT709 | 4 | Self::BT470BG | Self::SMPTE170M | Self::SMPTE240M | Self::BT2020)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untagged_video_is_judged_by_its_size() {
        assert_eq!(Colour::guess(Size::new(720, 576)).matrix, Colour::SMPTE170M);
        assert_eq!(Colour::guess(Size::new(1280, 272)).matrix, Colour::BT709);
        assert_eq!(Colour::guess(Size::new(720, 1280)).matrix, Colour::BT709);
    }
}

//! From a decoded picture (any pixel format, matrix, range, orientation) to an upright RGB8 frame.

use ffmpeg_next::{chroma, color, ffi, format::Pixel, frame};

use super::{hdr::ToneMap, orientation::Orientation};
use crate::{
    colour::Colour,
    dispatch::wide,
    error::Result,
    ffmpeg::scaler::{CHROMA_LEFT, ChromaPosition, Scaler, Side},
    frame::{Frame, FramePool, Size},
};

/// Sixteen bits a channel, in the machine's byte order.
const DEEP: Pixel = if cfg!(target_endian = "big") { Pixel::RGB48BE } else { Pixel::RGB48LE };

/// Converts a stream's frames. What is made for one frame (scaler, buffers) is used again for the next.
pub(super) struct Converter {
    /// The stored size of the first frame; later frames of another size are scaled to it.
    stored: Size,
    orientation: Orientation,
    scaler: Option<Scaler>,
    /// What the scaler writes, in stored orientation: three planes, which it does three times as fast as packed pixels; of
    /// high dynamic range, RGB48.
    picture: frame::Video,
    /// From RGB48 to RGB8, for high dynamic range.
    tone_map: Option<ToneMap>,
    /// RGB8 in stored orientation, without padding: where that is not the upright one.
    rows: Vec<u8>,
    pool: FramePool,
}

impl Converter {
    /// For a stream that begins with the picture `first`.
    pub fn new(first: &frame::Video, orientation: Orientation) -> Self {
        let stored = size(first);
        let tone_map = colour(first).is_hdr().then(|| ToneMap::new(colour(first)));
        let format = if tone_map.is_some() { DEEP } else { Pixel::GBRP };
        Converter {
            stored,
            orientation,
            scaler: None,
            picture: frame::Video::new(format, stored.width as u32, stored.height as u32),
            tone_map,
            rows: Vec::new(),
            pool: FramePool::new(),
        }
    }

    /// Size of the frames that come out.
    pub fn size(&self) -> Size {
        self.orientation.apply_to_size(self.stored)
    }

    /// The colours of what is delivered, of which `decoded` is an example.
    pub fn colour_of_result(&self, decoded: &frame::Video) -> Colour {
        if self.tone_map.is_some() { Colour::bt709() } else { colour(decoded) }
    }

    pub fn convert(&mut self, decoded: &frame::Video, pts: i64) -> Result<Frame> {
        let side = side(decoded);
        let scaler = match &mut self.scaler {
            Some(scaler) if scaler.source() == side => scaler,
            stale => stale.insert(Scaler::new(side, Side::rgb(self.picture.format(), self.stored))?),
        };
        scaler.run(decoded, &mut self.picture)?;
        let mut frame = self.pool.frame(self.orientation.apply_to_size(self.stored), pts);
        let upright = self.orientation == Orientation::default();
        self.rows.resize(if upright { 0 } else { 3 * self.stored.area() }, 0);
        let rows = if upright { frame.pixels_mut() } else { &mut self.rows[..] };
        let picture = &self.picture;
        for (y, row) in rows.chunks_exact_mut(3 * self.stored.width).enumerate() {
            match &self.tone_map {
                Some(tone_map) => tone_map.row(&picture.data(0)[y * picture.stride(0)..][..2 * row.len()], row),
                None => {
                    let plane = |index| &picture.data(index)[y * picture.stride(index)..][..self.stored.width];
                    let (green, blue, red) = (plane(0), plane(1), plane(2));
                    pack(red, green, blue, row);
                }
            }
        }
        if !upright {
            self.orientation.copy(&self.rows, 3 * self.stored.width, self.stored, frame.pixels_mut());
        }
        Ok(frame)
    }
}

wide! {
    /// Three planes of a row to its pixels.
    fn pack(red: &[u8], green: &[u8], blue: &[u8], row: &mut [u8]) {
        for (((pixel, r), g), b) in row.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            pixel[0] = *r;
            pixel[1] = *g;
            pixel[2] = *b;
        }
    }
}

/// Width and height of a decoded picture.
pub(super) fn size(decoded: &frame::Video) -> Size {
    Size::new(decoded.width() as usize, decoded.height() as usize)
}

/// What a decoded picture says of its colours; what it leaves open is filled in as players do.
pub(super) fn colour(decoded: &frame::Video) -> Colour {
    let guess = Colour::guess(size(decoded));
    // SAFETY: the frame is valid; the three enumerations are H.273's code points, which fit a byte.
    let (matrix, primaries, transfer) = unsafe {
        let frame = decoded.as_ptr();
        ((*frame).colorspace as u8, (*frame).color_primaries as u8, (*frame).color_trc as u8)
    };
    Colour {
        matrix: if Colour::is_known_matrix(matrix) { matrix } else { guess.matrix },
        primaries,
        transfer,
        full_range: match decoded.color_range() {
            color::Range::JPEG => true,
            color::Range::MPEG => false,
            color::Range::Unspecified => is_jpeg(decoded.format()),
        },
    }
}

/// The older pixel formats whose very name says full range.
fn is_jpeg(format: Pixel) -> bool {
    matches!(format, Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P)
}

fn side(decoded: &frame::Video) -> Side {
    let Colour { matrix, full_range, .. } = colour(decoded);
    Side { format: decoded.format(), size: size(decoded), matrix, full_range, chroma: chroma_position(decoded) }
}

fn chroma_position(decoded: &frame::Video) -> ChromaPosition {
    use chroma::Location;
    // SAFETY: the descriptor table is static; an unknown format gives null.
    let (halved_x, halved_y) = unsafe {
        match ffi::av_pix_fmt_desc_get(decoded.format().into()).as_ref() {
            Some(descriptor) => (descriptor.log2_chroma_w > 0, descriptor.log2_chroma_h > 0),
            None => (false, false),
        }
    };
    let (x, y) = match decoded.chroma_location() {
        Location::Unspecified | Location::Left => CHROMA_LEFT,
        Location::Center => (128, 128),
        Location::TopLeft => (0, 0),
        Location::Top => (128, 0),
        Location::BottomLeft => (0, 256),
        Location::Bottom => (128, 256),
    };
    (if halved_x { x } else { 0 }, if halved_y { y } else { 0 })
}

//! FFmpeg's scaler, used for what it does besides scaling: pixel formats, YCbCr matrices, ranges, chroma positions.
//!
//! The safe wrapper of `ffmpeg-next` offers none of the last three, so this one speaks to the library itself.

use std::{ffi::c_int, ptr};

use ffmpeg_next::{ffi, format::Pixel, frame};

use crate::{
    error::{Error, Result},
    frame::Size,
};

/// Where chroma samples lie between luma samples, in 1/256 of the chroma grid: `(horizontal, vertical)`.
pub(crate) type ChromaPosition = (c_int, c_int);

/// H.264's default: beside every other luma column, halfway between two rows.
pub(crate) const CHROMA_LEFT: ChromaPosition = (0, 128);

/// One side of a conversion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Side {
    pub format: Pixel,
    pub size: Size,
    /// H.273 code point of the matrix; without meaning for RGB.
    pub matrix: u8,
    pub full_range: bool,
    pub chroma: ChromaPosition,
}

impl Side {
    pub fn rgb(format: Pixel, size: Size) -> Self {
        Side { format, size, matrix: 1, full_range: true, chroma: CHROMA_LEFT }
    }
}

/// A prepared conversion from one kind of picture to another; made once, used for every frame.
pub(crate) struct Scaler {
    context: *mut ffi::SwsContext,
    from: Side,
    to: Side,
}

impl Scaler {
    /// # Errors
    /// If the scaler does not know one of the pixel formats.
    pub fn new(from: Side, to: Side) -> Result<Self> {
        let failed = |reason: String| Error::Ffmpeg { action: "convert colours", reason };
        // SAFETY: no arguments; the result is checked.
        let context = unsafe { ffi::sws_alloc_context() };
        if context.is_null() {
            return Err(failed("out of memory".to_owned()));
        }
        let mut scaler = Scaler { context, from, to };
        scaler.set_options();
        // SAFETY: an allocated context with its options set; filters may be null.
        let code = unsafe { ffi::sws_init_context(context, ptr::null_mut(), ptr::null_mut()) };
        if code < 0 {
            return Err(failed(format!("no way from {:?} to {:?}", from.format, to.format)));
        }
        scaler.set_matrices();
        Ok(scaler)
    }

    pub fn source(&self) -> Side {
        self.from
    }

    fn set_options(&mut self) {
        let pixel = |format: Pixel| i64::from(ffi::AVPixelFormat::from(format) as c_int);
        // Accurate rounding also keeps the library from its shortcut that repeats chroma samples instead of
        // interpolating them; full chroma does the same for the horizontal direction.
        let flags = ffi::SWS_BICUBIC | ffi::SWS_ACCURATE_RND | ffi::SWS_FULL_CHR_H_INT | ffi::SWS_FULL_CHR_H_INP;
        let options = [
            (c"srcw", self.from.size.width as i64),
            (c"srch", self.from.size.height as i64),
            (c"src_format", pixel(self.from.format)),
            (c"src_h_chr_pos", i64::from(self.from.chroma.0)),
            (c"src_v_chr_pos", i64::from(self.from.chroma.1)),
            (c"dstw", self.to.size.width as i64),
            (c"dsth", self.to.size.height as i64),
            (c"dst_format", pixel(self.to.format)),
            (c"dst_h_chr_pos", i64::from(self.to.chroma.0)),
            (c"dst_v_chr_pos", i64::from(self.to.chroma.1)),
            (c"sws_flags", i64::from(flags)),
        ];
        for (name, value) in options {
            // SAFETY: a live context, whose first field is its option class; a refused value shows when it is initialized.
            unsafe { ffi::av_opt_set_int(self.context.cast(), name.as_ptr(), value, 0) };
        }
    }

    fn set_matrices(&mut self) {
        const UNITY: c_int = 1 << 16;
        // SAFETY: a live, initialized context; the coefficient tables are static and four numbers long, as wanted.
        // A negative return means that the conversion knows no matrix (RGB to RGB), which is as well.
        unsafe {
            ffi::sws_setColorspaceDetails(
                self.context,
                ffi::sws_getCoefficients(c_int::from(self.from.matrix)),
                c_int::from(self.from.full_range),
                ffi::sws_getCoefficients(c_int::from(self.to.matrix)),
                c_int::from(self.to.full_range),
                0,
                UNITY,
                UNITY,
            );
        }
    }

    /// Converts a whole picture. Both frames must be as described when this was made.
    pub fn run(&mut self, from: &frame::Video, to: &mut frame::Video) -> Result<()> {
        let fits = |frame: &frame::Video, side: &Side| {
            frame.format() == side.format
                && frame.width() as usize == side.size.width
                && frame.height() as usize == side.size.height
        };
        assert!(fits(from, &self.from) && fits(to, &self.to), "frames are as the scaler was made for");
        // SAFETY: both frames hold the planes of their format and size, which are those of the context.
        let rows = unsafe {
            let (input, output) = (from.as_ptr(), to.as_mut_ptr());
            ffi::sws_scale(
                self.context,
                (*input).data.as_ptr().cast(),
                (*input).linesize.as_ptr(),
                0,
                self.from.size.height as c_int,
                (*output).data.as_ptr(),
                (*output).linesize.as_ptr(),
            )
        };
        if rows <= 0 {
            return Err(Error::Ffmpeg { action: "convert colours", reason: format!("code {rows}") });
        }
        Ok(())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: owned by this value alone.
        unsafe { ffi::sws_freeContext(self.context) };
    }
}

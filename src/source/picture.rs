//! Still pictures as frames.

use std::{
    fs,
    io::{self, BufRead, BufReader, Seek},
    path::Path,
};

use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::{
    error::{Error, Result},
    frame::{Frame, Size},
};

/// Reads a picture as an RGB8 frame: turned as its EXIF data say, transparency laid over white, deeper pixels rounded to
/// eight bits, gray as three equal channels. Values are taken as sRGB; an embedded colour profile is not applied.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Picture`] if it is no picture.
pub fn load(path: &Path) -> Result<Frame> {
    let refuse = |reason: String| Error::Picture { path: path.to_owned(), reason };
    let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
    if metadata.is_dir() {
        return Err(refuse("it is a folder".to_owned()));
    }
    if !metadata.is_file() {
        return Err(refuse("it is no ordinary file".to_owned()));
    }
    if metadata.len() == 0 {
        return Err(refuse("the file is empty".to_owned()));
    }
    let file = fs::File::open(path).map_err(Error::io("read", path))?;
    decode(BufReader::new(file), path)
}

/// [`load`] from anything that can be read; `path` names it in messages.
pub fn decode(mut from: impl BufRead + Seek, path: &Path) -> Result<Frame> {
    let refuse = |reason: String| Error::Picture { path: path.to_owned(), reason };
    if is_cut_off(&mut from).map_err(Error::io("read", path))? {
        return Err(refuse("its end is missing; the file was cut off".to_owned()));
    }
    let reader = ImageReader::new(from).with_guessed_format().map_err(Error::io("read", path))?;
    let mut decoder = reader.into_decoder().map_err(|error| refuse(reason(&error)))?;
    let orientation = decoder.orientation().map_err(|error| refuse(reason(&error)))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refuse(reason(&error)))?;
    picture.apply_orientation(orientation);
    let size = Size::new(picture.width() as usize, picture.height() as usize);
    if size.area() == 0 {
        return Err(refuse("it has no pixels".to_owned()));
    }
    Ok(Frame::new(size, rgb(picture), 0))
}

/// Whether this is a JPEG without an end: its decoder would fill up what is missing with grey. What comes after the last scan's begin
/// (FF DA) holds no FF D9 but the end's own.
fn is_cut_off(from: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    from.rewind()?;
    let last = |mark: [u8; 2]| bytes.windows(2).rposition(|pair| pair == mark);
    Ok(bytes.starts_with(&[0xFF, 0xD8]) && last([0xFF, 0xD9]) < last([0xFF, 0xDA]))
}

fn reason(error: &image::ImageError) -> String {
    match error {
        image::ImageError::Unsupported(_) => {
            "its format is unknown; PNG, JPEG, WebP, BMP, TIFF and GIF can be read".to_owned()
        }
        other => other.to_string(),
    }
}

/// RGB8 pixels; what shines through is white.
fn rgb(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into_raw();
    }
    let over_white = |colour: u8, alpha: u32| ((u32::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
    let flatten = |pixel: &image::Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0;
        [red, green, blue].map(|colour| over_white(colour, u32::from(alpha)))
    };
    picture.into_rgba8().pixels().flat_map(flatten).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    fn save(folder: &Path, name: &str, picture: impl Into<DynamicImage>) -> PathBuf {
        let path = folder.join(name);
        picture.into().save(&path).unwrap();
        path
    }

    #[test]
    fn a_jpeg_that_was_cut_off_is_refused() {
        let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/ink.jpg")).unwrap();
        let decode = |bytes: &[u8]| decode(io::Cursor::new(bytes), Path::new("a.jpg"));
        let trailing = [&whole[..], b"more"].concat();
        assert_eq!(decode(&whole).unwrap().pixels(), decode(&trailing).unwrap().pixels());
        for kept in [whole.len() / 2, whole.len() - 2] {
            let error = decode(&whole[..kept]).unwrap_err().to_string();
            assert!(error.contains("its end is missing"), "{kept} bytes: {error}");
        }
    }

    #[test]
    fn every_kind_of_pixel_becomes_rgb8() {
        let folder = tempfile::tempdir().unwrap();
        let gray = save(folder.path(), "gray.png", GrayImage::from_pixel(2, 1, Luma([77])));
        assert_eq!(load(&gray).unwrap().pixels(), [77; 6]);
        let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([65535, 32896, 0]));
        let deep = save(folder.path(), "deep.png", deep);
        assert_eq!(load(&deep).unwrap().pixels(), [255, 128, 0]);
        let mut clear = RgbaImage::from_pixel(3, 1, Rgba([200, 100, 0, 255]));
        clear.put_pixel(1, 0, Rgba([200, 100, 0, 0]));
        clear.put_pixel(2, 0, Rgba([200, 100, 0, 51]));
        let clear = save(folder.path(), "clear.png", clear);
        assert_eq!(load(&clear).unwrap().pixels(), [200, 100, 0, 255, 255, 255, 244, 224, 204]);
    }

    #[test]
    fn a_photograph_is_turned_upright() {
        let folder = tempfile::tempdir().unwrap();
        // Left half dark, right half bright, 16x8; the camera was turned so that right is up.
        let picture = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 10 } else { 240 }; 3]));
        let path = save(folder.path(), "a.jpg", picture);
        let plain = fs::read(&path).unwrap();
        let orientation = |value: u8| {
            let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
            exif.extend([value, 0, 0, 0, 0, 0, 0, 0]);
            let length = (exif.len() as u16 + 2).to_be_bytes();
            let mut bytes = plain[..2].to_vec();
            bytes.extend([0xff, 0xe1]);
            bytes.extend(length);
            bytes.extend(exif);
            bytes.extend(&plain[2..]);
            bytes
        };
        fs::write(&path, orientation(8)).unwrap();
        let frame = load(&path).unwrap();
        assert_eq!(frame.size(), Size::new(8, 16));
        assert!(frame.pixels()[0] > 200 && frame.pixels()[3 * 8 * 15] < 50, "the right side is up");
        fs::write(&path, orientation(3)).unwrap();
        let frame = load(&path).unwrap();
        assert!(frame.size() == Size::new(16, 8) && frame.pixels()[0] > 200, "half a turn");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| load(path).expect_err("must be refused").to_string();
        assert!(message(folder.path()).contains("it is a folder"));
        assert!(message(&folder.path().join("none.png")).contains("cannot read"));
        let path = folder.path().join("a.png");
        fs::write(&path, b"").unwrap();
        assert!(message(&path).contains("empty"));
        fs::write(&path, "no picture at all").unwrap();
        assert!(message(&path).contains("not a picture"), "{}", message(&path));
        let whole =
            save(folder.path(), "b.png", RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8])));
        let bytes = fs::read(&whole).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(message(&path).contains("not a picture"), "cut off");
    }
}

//! The frames of a video and what was painted of them, at the working size, kept in a file without a name.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    frame::Size,
};

/// What is kept of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The frame.
    Content,
    /// What was painted last of it.
    Painted,
}

/// Pictures of one size, RGB8, in a file that has no name and is gone when this is, whatever ends the program. Memory does not
/// grow with the video; the file takes six bytes for each pixel of each frame.
pub struct Store {
    file: File,
    /// Where the file lies, for messages.
    folder: PathBuf,
    /// Bytes of a picture.
    length: usize,
    /// Which frames have been painted.
    painted: Vec<bool>,
}

impl Store {
    /// # Errors
    /// [`Error::Io`] if no file can be made in the folder.
    pub fn new(folder: &Path, size: Size) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io("keep pictures between passes in", folder))?;
        Ok(Store { file, folder: folder.to_owned(), length: 3 * size.area(), painted: Vec::new() })
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.painted.len()
    }

    /// Appends a frame, which is not painted yet.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written: the disk is full, most likely.
    pub fn push(&mut self, content: &[u8]) -> Result<()> {
        self.painted.push(false);
        self.put(Kept::Content, self.painted.len() - 1, content)
    }

    /// Keeps what was painted of a frame, in place of what was painted before.
    ///
    /// # Errors
    /// As [`Store::push`].
    pub fn paint(&mut self, frame: usize, picture: &[u8]) -> Result<()> {
        self.put(Kept::Painted, frame, picture)?;
        self.painted[frame] = true;
        Ok(())
    }

    /// Reads what is kept of a frame; false, with `picture` as it was, if that is nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn read(&mut self, what: Kept, frame: usize, picture: &mut [u8]) -> Result<bool> {
        let known = match what {
            Kept::Content => frame < self.painted.len(),
            Kept::Painted => self.painted.get(frame).is_some_and(|painted| *painted),
        };
        if known {
            let place = self.place(what, frame);
            let read = self.file.seek(SeekFrom::Start(place)).and_then(|_| self.file.read_exact(picture));
            read.map_err(Error::io("read pictures between passes in", &self.folder))?;
        }
        Ok(known)
    }

    fn put(&mut self, what: Kept, frame: usize, picture: &[u8]) -> Result<()> {
        assert_eq!(picture.len(), self.length, "a picture of the store's size");
        let place = self.place(what, frame);
        let written = self.file.seek(SeekFrom::Start(place)).and_then(|_| self.file.write_all(picture));
        written.map_err(Error::io("keep pictures between passes in", &self.folder))
    }

    fn place(&self, what: Kept, frame: usize) -> u64 {
        (2 * frame as u64 + u64::from(what == Kept::Painted)) * self.length as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_in_any_order_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let size = Size::new(3, 2);
        let mut store = Store::new(folder.path(), size).expect("a store");
        (0..4).for_each(|i| store.push(&[i; 18]).expect("pushed"));
        store.paint(2, &[20; 18]).expect("painted");
        store.paint(0, &[10; 18]).expect("painted");
        store.paint(0, &[11; 18]).expect("painted again");
        let mut picture = [0; 18];
        for (what, frame, expected) in
            [(Kept::Content, 3, 3), (Kept::Painted, 0, 11), (Kept::Content, 0, 0), (Kept::Painted, 2, 20)]
        {
            assert!(store.read(what, frame, &mut picture).expect("read"), "{what:?} {frame}");
            assert_eq!(picture, [expected; 18], "{what:?} {frame}");
        }
        for (what, frame) in [(Kept::Painted, 1), (Kept::Painted, 3), (Kept::Content, 4), (Kept::Painted, 9)] {
            assert!(!store.read(what, frame, &mut picture).expect("read"), "{what:?} {frame}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = Store::new(Path::new("/absent/folder"), Size::new(3, 2)).err().expect("no store");
        assert!(error.to_string().contains("/absent/folder"), "{error}");
    }
}

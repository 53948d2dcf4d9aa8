//! Output under a temporary name that becomes the real one only when it is complete.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    reads::expect_unread,
};

/// A file in the making: `.NAME.part` beside `NAME`. Dropped without [`Part::complete`], it is removed.
#[derive(Debug)]
pub(super) struct Part {
    target: PathBuf,
    temporary: PathBuf,
    /// Holds the lock that keeps a second run from writing to the same name.
    lock: Option<File>,
    /// Whether a file that is written in place stays if it is dropped now.
    stays: bool,
}

impl Part {
    /// Claims a name. `reads` are the files that the run reads.
    ///
    /// # Errors
    /// [`Error::Output`] if the output exists and may not be replaced, is one of `reads` (by whatever name), is no
    /// ordinary file, or is being written by another run; [`Error::Io`] if its folder is missing or cannot be written.
    pub fn create(output: &Path, reads: &[PathBuf], overwrite: bool) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::Output { path: output.to_owned(), reason: reason.to_owned() });
        // Through a link the file behind it is written, not the link replaced.
        let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
        if let Ok(metadata) = fs::metadata(&target) {
            if metadata.is_dir() {
                return refuse("it is a folder; give the name of a file");
            }
            if !metadata.is_file() {
                return refuse("it is no ordinary file");
            }
            expect_unread(output, reads)?;
            if !overwrite {
                return refuse("it exists; use --overwrite (-y) to replace it, or choose another name");
            }
            if metadata.permissions().readonly() {
                return refuse("it is write-protected");
            }
        }
        let Some(name) = target.file_name() else { return refuse("this is no file name") };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".part");
        let temporary = target.with_file_name(hidden);
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let reason = format!("the folder {} does not exist; make it first", folder.display());
            return Err(Error::Output { path: output.to_owned(), reason });
        }
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&temporary);
        let file = file.map_err(Error::io("create a file in", folder))?;
        // Where a lock is mandatory (Windows) FFmpeg could not write through its own handle.
        if cfg!(unix) && matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            return refuse("another run is just writing it");
        }
        Ok(Part { target, temporary, lock: Some(file), stays: false })
    }

    /// Claims a name that is written to directly and stays, finished or not, once [`Part::stay`] was said.
    ///
    /// # Errors
    /// As of [`Part::create`].
    #[cfg(feature = "video")]
    pub fn in_place(output: &Path, reads: &[PathBuf], overwrite: bool) -> Result<Self> {
        let mut part = Self::create(output, reads, overwrite)?;
        let renamed = fs::rename(&part.temporary, &part.target).map_err(Error::io("write", &part.target));
        renamed.inspect(|()| part.temporary.clear())?;
        Ok(part)
    }

    /// Something worth keeping has been written in place.
    #[cfg(feature = "video")]
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// The name to write under.
    pub fn path(&self) -> &Path {
        if self.is_in_place() { &self.target } else { &self.temporary }
    }

    fn is_in_place(&self) -> bool {
        self.temporary.as_os_str().is_empty()
    }

    /// The final name, for messages.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the finished file its name.
    pub fn complete(mut self) -> Result<()> {
        self.lock = None;
        if !self.is_in_place() {
            fs::rename(&self.temporary, &self.target).map_err(Error::io("write", &self.target))?;
        }
        self.stays = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.stays {
            self.lock = None;
            // Nothing can be done about a failure here; the name tells what the file is.
            let _ = fs::remove_file(self.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<Part>) -> String {
        result.expect_err("must be refused").to_string()
    }

    #[test]
    fn the_name_appears_when_complete_and_nothing_stays_when_not() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a.mp4");
        let part = Part::create(&name, &[], false).unwrap();
        assert_eq!(part.path().file_name().unwrap(), ".a.mp4.part");
        fs::write(part.path(), b"new").unwrap();
        assert!(!name.exists());
        drop(part);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "dropped: nothing is left");
        let part = Part::create(&name, &[], false).unwrap();
        fs::write(part.path(), b"new").unwrap();
        part.complete().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn in_place_the_name_is_there_from_the_start_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a.mp4");
        drop(Part::in_place(&name, &[], false).unwrap());
        assert!(!name.exists(), "nothing was written");
        let mut part = Part::in_place(&name, &[], false).unwrap();
        assert!(message(Part::in_place(&name, &[], false)).contains("it exists"));
        assert!(message(Part::in_place(&name, std::slice::from_ref(&name), true)).contains("it is the input"));
        fs::write(part.path(), b"new").unwrap();
        part.stay();
        drop(part);
        assert_eq!(fs::read(&name).unwrap(), b"new");
    }

    #[test]
    fn an_existing_file_is_kept_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a.mp4");
        fs::write(&name, b"old").unwrap();
        assert!(message(Part::create(&name, &[], false)).contains("it exists; use --overwrite"));
        let part = Part::create(&name, &[], true).unwrap();
        fs::write(part.path(), b"new").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"old");
        part.complete().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"new");
    }

    #[test]
    fn the_input_is_refused_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.mp4");
        fs::write(&input, b"video").unwrap();
        let hard = folder.path().join("hard.mp4");
        fs::hard_link(&input, &hard).unwrap();
        let mut names = vec![input.clone(), hard, folder.path().join("./in.mp4")];
        if cfg!(unix) {
            let soft = folder.path().join("soft.mp4");
            #[cfg(unix)]
            std::os::unix::fs::symlink(&input, &soft).unwrap();
            names.push(soft);
        }
        for name in names {
            assert!(
                message(Part::create(&name, std::slice::from_ref(&input), true)).contains("it is the input"),
                "{}",
                name.display()
            );
        }
    }

    #[test]
    fn impossible_places_are_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(message(Part::create(folder.path(), &[], true)).contains("it is a folder"));
        assert!(message(Part::create(&folder.path().join("no/a.mp4"), &[], true)).contains("does not exist"));
    }

    #[test]
    #[cfg(unix)]
    fn two_runs_do_not_write_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a.mp4");
        let _first = Part::create(&name, &[], false).unwrap();
        assert!(message(Part::create(&name, &[], false)).contains("another run"));
    }
}

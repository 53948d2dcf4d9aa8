//! A look inside a step for those who tune: its graph in a file, and ONNX Runtime's own profile of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ort::session::{Session, builder::SessionBuilder};

use crate::{
    error::{Error, Result},
    frame::Size,
    reads,
};

/// What to write of every graph of a step that is built: one for each size at which pictures are optimized (a first
/// frame is solved coarse to fine). The size goes into the name: `step.onnx` becomes `step-320x180.onnx`. A file of that
/// name is replaced, unless the run reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// ONNX Runtime's profile: JSON in Chrome's trace format, the time of every node of every run. Written when the graph
    /// is done with.
    pub profile: Option<PathBuf>,
    /// The graph itself, in ONNX; Netron shows it.
    pub graph: Option<PathBuf>,
    /// Files that the run reads.
    pub reads: Vec<PathBuf>,
}

impl Inspection {
    /// Writes the graph, if that is wanted, and returns the file that the profile goes to, if that is.
    ///
    /// # Errors
    /// [`Error::Io`] if either cannot be written; the profile is tried here, for ONNX Runtime would not say so. [`Error::Output`] if it is
    /// a file that the run reads.
    pub(super) fn begin(&self, size: Size, model: &[u8]) -> Result<Option<Profile>> {
        if let Some(file) = &self.graph {
            let file = self.place(file, size)?;
            fs::write(&file, model).map_err(Error::io("write", &file))?;
        }
        let profile = self.profile.as_ref().map(|file| self.place(file, size)).transpose()?;
        if let Some(file) = &profile {
            fs::write(file, []).map_err(Error::io("write", file))?;
        }
        Ok(profile.map(Profile))
    }

    fn place(&self, file: &Path, size: Size) -> Result<PathBuf> {
        let file = with_size(file, size);
        reads::expect_unread(&file, &self.reads)?;
        Ok(file)
    }
}

/// A profile that ONNX Runtime takes of a session, and the file that it goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Profile(PathBuf);

impl Profile {
    /// A builder whose session takes the profile, if one is wanted.
    pub fn taken_by(builder: SessionBuilder, profile: Option<&Self>) -> Result<SessionBuilder> {
        Ok(match profile {
            Some(Profile(file)) => builder.with_profiling(file)?,
            None => builder,
        })
    }

    /// Ends it and brings it to its place: ONNX Runtime puts the time into its name.
    pub fn finish(&self, session: &mut Session) {
        let Profile(file) = self;
        let moved = session.end_profiling().map_err(Error::from);
        let moved = moved.and_then(|from| fs::rename(from, file).map_err(Error::io("write", file)));
        if let Err(error) = moved {
            log::warn!("the profile is incomplete: {error}");
        }
    }
}

/// `name-WIDTHxHEIGHT.extension`
fn with_size(file: &Path, size: Size) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{size}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_goes_before_the_extension() {
        let size = Size::new(320, 180);
        assert_eq!(with_size(Path::new("a/b.c/step.onnx"), size), Path::new("a/b.c/step-320x180.onnx"));
        assert_eq!(with_size(Path::new("trace"), size), Path::new("trace-320x180"));
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        for inspection in [
            Inspection { profile: Some("/nowhere/a.json".into()), ..Inspection::default() },
            Inspection { graph: Some("/nowhere/a.onnx".into()), ..Inspection::default() },
        ] {
            let error = inspection.begin(Size::new(8, 8), &[]).expect_err("no such folder");
            assert!(error.to_string().starts_with("cannot write /nowhere/a-8x8."), "{error}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let read = folder.path().join("in-8x8.mp4");
        fs::write(&read, "a video").expect("written");
        let graph = Some(folder.path().join("in.mp4"));
        let inspection = Inspection { graph, reads: vec![read.clone()], ..Inspection::default() };
        let error = inspection.begin(Size::new(8, 8), &[]).expect_err("it is read");
        assert!(error.to_string().contains("it is the input"), "{error}");
        assert_eq!(fs::read(read).expect("there"), b"a video");
        assert_eq!(Inspection::default().begin(Size::new(8, 8), &[]).expect("nothing to do"), None);
    }
}

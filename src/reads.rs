//! The files that a run reads, which nothing that it writes may replace.

use std::path::{Path, PathBuf};

use crate::{
    error::{Error, Result},
    source::images::Pattern,
};

/// The files that an input's name stands for: those of a sequence, the one behind `file:NAME` or `file://NAME`, otherwise itself.
pub fn files(input: &Path) -> Vec<PathBuf> {
    if let Some(pattern) = Pattern::parse(input) {
        // A folder that cannot be read has nothing that is read.
        let numbers = pattern.existing().unwrap_or_default();
        return numbers.into_iter().map(|number| pattern.path(number)).collect();
    }
    let path = input.to_str().filter(|_| !input.exists()).and_then(|text| text.strip_prefix("file:"));
    vec![path.map_or_else(|| input.to_owned(), |path| PathBuf::from(path.strip_prefix("//").unwrap_or(path)))]
}

/// # Errors
/// [`Error::Output`] if the output is one of `reads`, by whatever name.
pub(crate) fn expect_unread(output: &Path, reads: &[PathBuf]) -> Result<()> {
    if reads.iter().any(|read| same_file::is_same_file(read, output).unwrap_or(false)) {
        let reason = "it is the input, a style picture or the network; choose another name".to_owned();
        return Err(Error::Output { path: output.to_owned(), reason });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_stands_for_the_files_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a1.png", "a3.png", "b.png"] {
            fs::write(at(name), b"a picture").unwrap();
        }
        assert_eq!(files(&at("a%d.png")), [at("a1.png"), at("a3.png")]);
        assert_eq!(files(&at("b.png")), [at("b.png")]);
        for scheme in ["file:", "file://"] {
            assert_eq!(files(Path::new(&format!("{scheme}{}", at("b.png").display()))), [at("b.png")]);
        }
        assert_eq!(files(Path::new("http://host/a.mp4")), [Path::new("http://host/a.mp4")]);
        assert!(expect_unread(&at("a3.png"), &files(&at("a%d.png"))).is_err());
        assert!(expect_unread(&at("a2.png"), &files(&at("a%d.png"))).is_ok());
    }
}

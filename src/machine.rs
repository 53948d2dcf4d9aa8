//! What the system tells of its NVIDIA card and of memory in use. Nothing here is needed to paint.

use std::process::{Command, Stdio};

/// An NVIDIA card as its driver describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub name: String,
    pub driver: String,
    /// Memory in use by all programs, MiB.
    pub memory_used: f64,
}

impl Card {
    /// The first card, by nvidia-smi, which comes with the driver; None where there is none.
    pub fn first() -> Option<Card> {
        let query = ["--query-gpu=name,driver_version,memory.used", "--format=csv,noheader,nounits"];
        let output = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| Card::parse(&String::from_utf8_lossy(&output.stdout)))?
    }

    fn parse(text: &str) -> Option<Card> {
        let mut parts = text.lines().next()?.rsplitn(3, ',').map(str::trim);
        let (memory, driver, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Card { name: name.into(), driver: driver.into(), memory_used: memory.parse().ok()? })
    }
}

/// Resident memory of this program, MiB; None where the system does not say.
pub fn resident_memory() -> Option<f64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = pages.split(' ').nth(1)?.parse().ok()?;
    // Pages of 4 KiB: those of x86, and of nearly all ARM systems.
    Some(pages * 4096.0 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_from_a_line() {
        let expected = Card { name: "NVIDIA H200, 141GB".into(), driver: "580.65".into(), memory_used: 512.0 };
        assert_eq!(Card::parse("NVIDIA H200, 141GB, 580.65, 512\n"), Some(expected));
        assert_eq!(Card::parse("No devices were found"), None);
        assert_eq!(Card::parse(""), None);
    }
}

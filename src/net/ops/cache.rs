//! The second-level cache, which a piece of work should fit.

/// Where the CPU does not tell: the least that CPUs with the instruction sets used here have (AMD's Zen, ARM's Cortex-A76).
const USUAL_BYTES: usize = 512 << 10;

/// Bytes of one core's second-level cache.
pub fn second_level() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        // Leaf 0x8000_0006 of AMD and Intel alike: KiB in the upper half of ecx.
        const LEAF: u32 = 0x8000_0006;
        if __cpuid(0x8000_0000).eax >= LEAF {
            let kilobytes = (__cpuid(LEAF).ecx >> 16) as usize;
            if kilobytes > 0 {
                return kilobytes << 10;
            }
        }
    }
    USUAL_BYTES
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_a_cache_of_this_century() {
        let bytes = super::second_level();
        assert!((64 << 10..64 << 20).contains(&bytes), "{bytes}");
    }
}

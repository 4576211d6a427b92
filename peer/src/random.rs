//! Random bits: always the operating system's. Only a simulation, which is a feature that no program of ours
//! asks for, may give the thread that it runs on bits that follow from a seed.

/// 32 random bits.
pub(crate) fn u32() -> Result<u32, getrandom::Error> {
    #[cfg(feature = "simulation")]
    if let Some(random) = crate::simulation::random() {
        return Ok(random);
    }
    getrandom::u32()
}

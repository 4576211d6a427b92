//! Random bits: always the operating system's. Only a simulation, which is a feature that no program of ours
//! asks for, may give the thread that it runs on bits that follow from a seed.

/// Fills with random bytes.
pub fn fill(bytes: &mut [u8]) {
    #[cfg(feature = "simulation")]
    if crate::simulation::fill(bytes) {
        return;
    }
    getrandom::fill(bytes).expect("the operating system gives random bytes once it has booted");
}

/// 32 random bits.
pub fn u32() -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

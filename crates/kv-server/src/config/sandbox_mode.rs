//! Whether the process shuts itself out of what is none of its business.

/// How much a start insists on the sandbox of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SandboxMode {
    /// No sandbox.
    #[default]
    Off,
    /// Those parts of it that the system has, a notice for each that it has not.
    BestEffort,
    /// No start without a sandbox.
    Required,
}

impl SandboxMode {
    /// All modes, in the order in which they are documented.
    pub(crate) const ALL: [SandboxMode; 3] =
        [SandboxMode::Off, SandboxMode::BestEffort, SandboxMode::Required];

    /// The word that sets it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SandboxMode::Off => "off",
            SandboxMode::BestEffort => "best_effort",
            SandboxMode::Required => "required",
        }
    }
}

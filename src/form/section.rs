//! A map of keys whose values are settings of a room.
//!
//! [`Section::keys`] names each key once, with its form and the setting that it fills. The resolver
//! goes over the keys from the file to the settings, `render` from the settings to the file.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Form;
use crate::yaml::{KeyPath, RawScalar, Report};

/// A map of the file whose keys fill `S`.
pub(crate) trait Section<S>: Clone + Default {
    /// Passes each key with its setting to `pass`.
    fn keys(&mut self, settings: &mut S, pass: &mut Pass<'_, '_>);
}

/// The direction in which values go.
#[derive(Debug)]
pub(crate) enum Pass<'p, 'r> {
    /// From the file, whose map is at this path, to the settings. A key that is not written leaves the
    /// default.
    Read(&'p KeyPath, &'p mut Report<'r>),
    /// From the settings to the file.
    Write,
}

impl Pass<'_, '_> {
    /// Passes the value of the key `name`. By [`key!`](crate::form::section::key).
    pub(crate) fn key<T: Clone + PartialEq, V>(
        &mut self,
        name: &str,
        written: &mut Option<RawScalar>,
        setting: &mut T,
        form: &Form<T, V>,
    ) {
        match self {
            Self::Write => *written = Some(form.render(setting)),
            Self::Read(path, report) => {
                let Some(written) = written else { return };
                match form.parse(written.as_str()) {
                    Ok(value) => *setting = value,
                    Err(diagnostic) => report.refuse(&path.key(name), diagnostic),
                }
            }
        }
    }
}

/// `key!(pass, self.key => setting, FORM)` passes a key that has the name of its field.
macro_rules! key {
    ($pass:ident, $file:ident.$key:ident => $setting:expr, $form:expr) => {
        $pass.key(stringify!($key), &mut $file.$key, &mut $setting, &$form)
    };
}
pub(crate) use key;

/// The settings that the map at `path` gives, starting from `settings`.
pub(crate) fn read<F: Section<S>, S>(
    path: &KeyPath,
    written: Option<&F>,
    mut settings: S,
    report: &mut Report<'_>,
) -> S {
    if let Some(written) = written {
        written.clone().keys(&mut settings, &mut Pass::Read(path, report));
    }
    settings
}

/// The map that gives `settings`.
pub(crate) fn write<F: Section<S>, S: Clone>(settings: &S) -> F {
    let mut file = F::default();
    file.keys(&mut settings.clone(), &mut Pass::Write);
    file
}

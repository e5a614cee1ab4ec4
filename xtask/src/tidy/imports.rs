//! Imports inside a library go downward, as [`super::rooms`] says.
//!
//! Every path is read, not only `use`: `crate::a::b()` in an expression binds as tightly as an
//! import. Test code is held to the same order; a test that needs an upper room belongs into the
//! crate's `tests/` folder.

use super::Report;
use super::rooms::{LIBRARIES, Library};
use super::source::{Source, Sources};

/// Adds a finding for each path that climbs or goes sideways, and for rooms the table does not know.
pub(crate) fn check(sources: &Sources, report: &mut Report) {
    for library in LIBRARIES {
        for source in sources.library(library.package) {
            check_file(library, source, report);
        }
    }
}

fn check_file(library: &Library, source: &Source, report: &mut Report) {
    let module = source.file_module();
    let Some(room) = module.first() else {
        return; // the crate's root lists and re-exports every room
    };
    let Some(level) = level_of(library.levels, room) else {
        report.find(&source.file, 1, unknown_room(library, room));
        return;
    };
    check_inner_room(library, source, report);
    for path in source.paths() {
        let Some(target) = source.in_crate(&path) else { continue };
        let Some(name) = target.first().filter(|name| *name != room) else {
            check_inner_path(library, source, &target, path.line, report);
            continue;
        };
        if name == "*" {
            report.find(&source.file, path.line, "imports all of the crate's root: name the room");
            continue;
        }
        match level_of(library.levels, name) {
            None => report.find(&source.file, path.line, unknown_room(library, name)),
            Some(other) if other > level => {
                let text = format!("`{room}` imports `{name}`, which stands above it");
                report.find(&source.file, path.line, text);
            }
            Some(other) if other == level => {
                let text = format!("`{room}` imports its sibling `{name}`; they meet further up");
                report.find(&source.file, path.line, text);
            }
            Some(_) => {}
        }
    }
}

/// The file itself, when its room is levelled inside, must be in the inner table.
fn check_inner_room(library: &Library, source: &Source, report: &mut Report) {
    let [room, inner, ..] = source.file_module() else { return };
    let Some(table) = library.inner.iter().find(|t| t.room == room) else { return };
    let own_tests = inner == "tests";
    if !own_tests && level_of(table.levels, inner).is_none() {
        report.find(&source.file, 1, unknown_room(library, &format!("{room}::{inner}")));
    }
}

/// A path that stays in its room must not climb inside it either.
fn check_inner_path(
    library: &Library,
    source: &Source,
    target: &[String],
    line: usize,
    report: &mut Report,
) {
    let ([room, from, ..], [_, to, ..]) = (source.file_module(), target) else { return };
    let Some(table) = library.inner.iter().find(|t| t.room == room) else { return };
    if from == to {
        return;
    }
    // A name that is no file of the room is an item of the room's own file: everybody's.
    if let (Some(a), Some(b)) = (level_of(table.levels, from), level_of(table.levels, to))
        && b >= a
    {
        let text = format!("`{room}::{from}` imports `{room}::{to}`, which is no floor of it");
        report.find(&source.file, line, text);
    }
}

fn level_of(levels: &[&[&str]], room: &str) -> Option<usize> {
    levels.iter().position(|level| level.contains(&room))
}

fn unknown_room(library: &Library, room: &str) -> String {
    format!(
        "`{room}` is no room of {} in xtask/src/tidy/rooms.rs: give it a level",
        library.package
    )
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let mut report = Report::default();
        let sources = Sources::parse(&Tree::made_up(files), &mut report);
        check(&sources, &mut report);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn downward_imports_pass() {
        let text = "use crate::action::Action;\nuse super::super::flow::Key;\nuse self::x::Y;";
        assert_eq!(findings(&[("dp-core/src/execute/output.rs", text)]), [""; 0]);
        assert_eq!(findings(&[("dp-core/src/lib.rs", "pub use crate::pipeline::Turn;")]), [""; 0]);
    }

    #[test]
    fn an_upward_path_is_found_at_its_line() {
        let text = "fn f() {\n    crate::pipeline::run();\n}";
        assert_eq!(
            findings(&[("dp-core/src/flow/key.rs", text)]),
            ["dp-core/src/flow/key.rs:2: `flow` imports `pipeline`, which stands above it"]
        );
        let found = findings(&[("dp-core/src/flow.rs", "use super::lookup;")]);
        assert!(found[0].contains("stands above"), "{found:?}");
    }

    #[test]
    fn siblings_are_strangers() {
        let found = findings(&[("dp-core/src/meter/mod.rs", "use crate::{base::X, tunnel::Y};")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`meter` imports its sibling `tunnel`"), "{found:?}");
    }

    #[test]
    fn a_room_outside_the_table_is_found_on_both_ends() {
        let found = findings(&[
            ("dp-core/src/attic.rs", "use crate::base::X;"),
            ("dp-core/src/flow.rs", "use crate::attic::Y;\nuse crate::Short;"),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|f| f.contains("give it a level")), "{found:?}");
    }

    #[test]
    fn the_whole_root_is_not_imported() {
        let found = findings(&[("dp-core/src/flow.rs", "use crate::*;")]);
        assert!(found[0].contains("name the room"), "{found:?}");
    }

    #[test]
    fn drivers_do_not_import_each_other() {
        let found = findings(&[
            ("dp-netdev/src/port/ring.rs", "use super::Port;\nuse super::pcap::Reader;"),
            ("dp-netdev/src/port/modem.rs", "use super::Port;"),
            ("dp-netdev/src/port/mod.rs", "mod ring; use self::ring::Ring;"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|f| f.contains("`port::ring` imports `port::pcap`")));
        assert!(found.iter().any(|f| f.contains("`port::modem` is no room")));
    }
}

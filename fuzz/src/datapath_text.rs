//! Flows of the datapath as people and programs write them: reading never panics, and what is
//! accepted is printed so that it reads the same.

use dp_core::action::text::{ActionsText, parse_actions};
use dp_core::base::PortNo;
use dp_core::flow::Extractor;
use dp_core::flow::compose::compose;
use dp_core::flow::text::{KeyText, PortTable, parse_flow};
use dp_core::packet::Metadata;

fn ports() -> PortTable {
    [(PortNo(1), "p1"), (PortNo(2), "br0")].into_iter().collect()
}

/// Keys with masks.
pub fn datapath_key_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ports = ports();
    let parsed = match parse_flow(text, &ports) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A message names what is wrong, whatever that is.
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    if parsed.fits().is_err() {
        return;
    }
    let printed = KeyText::masked(&parsed.key, &parsed.mask, &ports).to_string();
    let again = parse_flow(&printed, &ports).map_err(|error| error.to_string());
    let problem = again.as_ref().err();
    assert_eq!(problem, None, "{text:?} printed as {printed:?}");
    let Ok(again) = again else { return };
    let twice = KeyText::masked(&again.key, &again.mask, &ports).to_string();
    assert_eq!(twice, printed, "{text:?}");
    for shown in [
        KeyText::masked(&parsed.key, &parsed.mask, &ports).verbose().to_string(),
        KeyText::new(&parsed.key, &ports).to_string(),
    ] {
        let problem = parse_flow(&shown, &ports).err().map(|error| error.to_string());
        assert_eq!(problem, None, "{text:?} printed as {shown:?}");
    }
    // The frame that it describes can be made, and parsed.
    if let Ok(frame) = compose(&parsed.key, None) {
        let _ = Extractor::default().frame(&frame, &Metadata::default());
    }
}

/// Lists of actions.
pub fn datapath_action_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ports = ports();
    let actions = match parse_actions(text, &ports) {
        Ok(actions) => actions,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let printed = ActionsText::new(&actions, &ports).to_string();
    // Of a sample's probability text keeps one digit behind the point.
    let again = parse_actions(&printed, &ports).map_err(|error| error.to_string());
    let again = again.map(|again| ActionsText::new(&again, &ports).to_string());
    assert_eq!(again.as_ref(), Ok(&printed), "{text:?}");
}

use super::*;

#[test]
fn what_is_installed_is_not_missing() {
    ensure(&["dpkg", "base-files"]).unwrap();
    assert_eq!(missing(&["dpkg", "no-such-package-at-all"]).unwrap(), ["no-such-package-at-all"]);
}

#[test]
fn errors_name_the_packages_and_what_to_do() {
    let missing = vec!["tshark".to_owned(), "ethtool".to_owned()];
    assert_eq!(
        PackageError::NotRoot { missing: missing.clone() }.to_string(),
        "missing packages: tshark, ethtool; run as root, or `apt-get install tshark ethtool`"
    );
    let error = PackageError::Apt { missing, step: "install", stderr: "no network".into() };
    assert_eq!(
        error.to_string(),
        "missing packages: tshark, ethtool; `apt-get install` failed: no network"
    );
}

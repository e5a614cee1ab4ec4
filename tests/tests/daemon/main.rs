//! The daemon as its users see it: the tools of the reference, unmodified, on a real database, and
//! the process as service managers and the installed scripts run it.

mod columns;
mod commands;
mod database;
mod hostile;
mod metrics;
mod options;
mod process;
mod readers;
mod refusals;
mod sandbox;
mod service;
mod switch;
mod timers;
mod tools;

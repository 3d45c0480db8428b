"""An event-sourced metadata ledger: `import ledger as ln`."""

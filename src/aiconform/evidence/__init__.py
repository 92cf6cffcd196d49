"""The bundle: records, redaction, seal, integrity. Works with no cluster and no network."""

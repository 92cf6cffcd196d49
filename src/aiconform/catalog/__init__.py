"""The checklists as data: ids, levels, categories, KAR numbers, per release."""

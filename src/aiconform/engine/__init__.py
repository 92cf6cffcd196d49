"""Runs checks: context, planner, runner, judge, record and replay."""

"""Programs that run in pods of ours, on any Python from 3.9 on, with the standard library alone.

They are sent as text (:mod:`aiconform.checks._kit.workloads`) and never imported here.
"""

"""Dummy data: tables that resemble the real ones without holding a row of them. Tools for people; no stage imports this."""

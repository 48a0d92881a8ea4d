"""What pipelines about flights share: their tables, their timetable, and the weather that was known before one left."""

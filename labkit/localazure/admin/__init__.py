"""The local Azure's own API under ``/labkit``, for graders, teachers and students; nothing of Azure's is here."""

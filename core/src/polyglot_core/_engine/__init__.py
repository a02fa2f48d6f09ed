"""One call over all its attempts: retries, fallbacks, resumes, and the pumps that carry them out."""

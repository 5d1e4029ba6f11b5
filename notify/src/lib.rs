//! Email, Slack, PagerDuty and webhooks: how people are told

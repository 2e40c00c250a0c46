package rest

import (
	"context"

	"github.com/parley-dsr/parley/services/config/internal/api"
)

// The operations of the two lists, which differ in their kind alone.

// ListPreWebhooks lists the pre-execution webhooks of a policy (contract §4.3).
func (a *API) ListPreWebhooks(ctx context.Context, r api.ListPreWebhooksRequestObject) (api.ListPreWebhooksResponseObject, error) {
	reply, err := a.listWebhooks(ctx, r.PolicyKey, preKind(), r.Params.Page, r.Params.Size)
	if err != nil {
		return nil, err
	}
	return api.ListPreWebhooks200JSONResponse{WebhookPageReplyJSONResponse: reply}, nil
}

// ListPostWebhooks lists the post-execution webhooks of a policy.
func (a *API) ListPostWebhooks(ctx context.Context, r api.ListPostWebhooksRequestObject) (api.ListPostWebhooksResponseObject, error) {
	reply, err := a.listWebhooks(ctx, r.PolicyKey, postKind(), r.Params.Page, r.Params.Size)
	if err != nil {
		return nil, err
	}
	return api.ListPostWebhooks200JSONResponse{WebhookPageReplyJSONResponse: reply}, nil
}

// GetPreWebhook shows one pre-execution webhook (contract §4.4).
func (a *API) GetPreWebhook(ctx context.Context, r api.GetPreWebhookRequestObject) (api.GetPreWebhookResponseObject, error) {
	reply, err := a.getWebhook(ctx, r.PolicyKey, r.WebhookKey, preKind())
	if err != nil {
		return nil, err
	}
	return api.GetPreWebhook200JSONResponse{WebhookReplyJSONResponse: reply}, nil
}

// GetPostWebhook shows one post-execution webhook.
func (a *API) GetPostWebhook(ctx context.Context, r api.GetPostWebhookRequestObject) (api.GetPostWebhookResponseObject, error) {
	reply, err := a.getWebhook(ctx, r.PolicyKey, r.WebhookKey, postKind())
	if err != nil {
		return nil, err
	}
	return api.GetPostWebhook200JSONResponse{WebhookReplyJSONResponse: reply}, nil
}

// PutPreWebhooks replaces the pre-execution webhooks of a policy (contract §4.5).
func (a *API) PutPreWebhooks(ctx context.Context, r api.PutPreWebhooksRequestObject) (api.PutPreWebhooksResponseObject, error) {
	reply, err := a.putWebhooks(ctx, r.PolicyKey, preKind(), r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return api.PutPreWebhooks200JSONResponse(reply), nil
}

// PutPostWebhooks replaces the post-execution webhooks of a policy.
func (a *API) PutPostWebhooks(ctx context.Context, r api.PutPostWebhooksRequestObject) (api.PutPostWebhooksResponseObject, error) {
	reply, err := a.putWebhooks(ctx, r.PolicyKey, postKind(), r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return api.PutPostWebhooks200JSONResponse(reply), nil
}

// PatchPreWebhook changes or moves one pre-execution webhook (contract §4.6).
func (a *API) PatchPreWebhook(ctx context.Context, r api.PatchPreWebhookRequestObject) (api.PatchPreWebhookResponseObject, error) {
	reply, err := a.patchWebhook(ctx, r.PolicyKey, r.WebhookKey, preKind(), r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return api.PatchPreWebhook200JSONResponse{WebhookPatchedReplyJSONResponse: reply}, nil
}

// PatchPostWebhook changes or moves one post-execution webhook.
func (a *API) PatchPostWebhook(ctx context.Context, r api.PatchPostWebhookRequestObject) (api.PatchPostWebhookResponseObject, error) {
	reply, err := a.patchWebhook(ctx, r.PolicyKey, r.WebhookKey, postKind(), r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return api.PatchPostWebhook200JSONResponse{WebhookPatchedReplyJSONResponse: reply}, nil
}

// DeletePreWebhook removes one pre-execution webhook (contract §4.8).
func (a *API) DeletePreWebhook(ctx context.Context, r api.DeletePreWebhookRequestObject) (api.DeletePreWebhookResponseObject, error) {
	reply, err := a.deleteWebhook(ctx, r.PolicyKey, r.WebhookKey, preKind(), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return api.DeletePreWebhook200JSONResponse{WebhookDeletedReplyJSONResponse: reply}, nil
}

// DeletePostWebhook removes one post-execution webhook.
func (a *API) DeletePostWebhook(ctx context.Context, r api.DeletePostWebhookRequestObject) (api.DeletePostWebhookResponseObject, error) {
	reply, err := a.deleteWebhook(ctx, r.PolicyKey, r.WebhookKey, postKind(), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return api.DeletePostWebhook200JSONResponse{WebhookDeletedReplyJSONResponse: reply}, nil
}
